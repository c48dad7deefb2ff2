"""What is learnt from: mapped rooms, their views, rendered walks, tokenizers."""
