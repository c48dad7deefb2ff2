// The map to be turned by hand: WebGL, no library. Axes as packed by cloud.py: metres, z up, planes seen from behind
// are not drawn, so that one looks into the room through its near walls.
(() => {
  "use strict";
  const box = document.querySelector(".viewer");
  const data = JSON.parse(document.getElementById("cloud").textContent);
  const canvas = box.querySelector("canvas");
  const gl = canvas.getContext("webgl", { antialias: true, preserveDrawingBuffer: true });
  if (!gl) { box.remove(); return; }  // the pictures below show the same

  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const places = new Int16Array(bytes(data.positions).buffer);
  const own = bytes(data.colors);
  const normals = new Int8Array(bytes(data.normals).buffer);
  const instances = new Uint16Array(bytes(data.instances).buffer);
  const points = Float32Array.from(places, (v) => v * data.scale);
  const paint = new Uint8Array(own.length);
  for (let i = 0; i < data.count; i++) {
    const color = instances[i] ? data.palette[instances[i] - 1] : null;
    for (let k = 0; k < 3; k++) paint[3 * i + k] = color ? 0.75 * color[k] + 0.25 * own[3 * i + k] : 0.6 * own[3 * i + k];
  }

  const shader = (kind, text) => {
    const s = gl.createShader(kind);
    gl.shaderSource(s, text);
    gl.compileShader(s);
    return s;
  };
  const program = gl.createProgram();
  gl.attachShader(program, shader(gl.VERTEX_SHADER, `
    attribute vec3 place, color, normal; attribute float instance;
    uniform mat4 clip; uniform vec3 eye; uniform float disc, cut, picked;
    varying vec3 tone;
    void main() {
      gl_Position = clip * vec4(place, 1.0);
      gl_PointSize = clamp(disc / gl_Position.w, 1.5, 48.0);
      vec3 ray = normalize(eye - place);
      float facing = dot(normal, ray);
      bool flat_ = dot(normal, normal) > 0.25;
      if (place.z > cut || (flat_ && facing < -0.1)) gl_Position = vec4(2.0, 2.0, 2.0, 1.0);
      tone = color * (flat_ ? 0.62 + 0.38 * abs(normal.z * 0.55 + facing * 0.6) : 0.86);
      if (picked > 0.0) tone = instance == picked ? color * 1.15 + 0.06 : vec3(dot(tone, vec3(0.15)) + 0.04);
    }`));
  gl.attachShader(program, shader(gl.FRAGMENT_SHADER, `
    precision mediump float; varying vec3 tone;
    void main() {
      vec2 off = gl_PointCoord - 0.5;
      if (dot(off, off) > 0.25) discard;
      gl_FragColor = vec4(tone, 1.0);
    }`));
  gl.linkProgram(program);
  gl.useProgram(program);
  const attribute = (name, values, size, type, normalised) => {
    const buffer = gl.createBuffer(), at = gl.getAttribLocation(program, name);
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
    gl.bufferData(gl.ARRAY_BUFFER, values, gl.STATIC_DRAW);
    gl.enableVertexAttribArray(at);
    gl.vertexAttribPointer(at, size, type, normalised, 0, 0);
    return buffer;
  };
  attribute("place", points, 3, gl.FLOAT, false);
  attribute("normal", normals, 3, gl.BYTE, true);
  attribute("instance", Float32Array.from(instances), 1, gl.FLOAT, false);
  const colorBuffer = attribute("color", paint, 3, gl.UNSIGNED_BYTE, true);
  const uniform = (name) => gl.getUniformLocation(program, name);
  const at = { clip: uniform("clip"), eye: uniform("eye"), disc: uniform("disc"), cut: uniform("cut"), picked: uniform("picked") };

  let reach = 0;
  const low = [Infinity, Infinity, Infinity], high = [-Infinity, -Infinity, -Infinity];
  for (let i = 0; i < points.length; i++) {
    low[i % 3] = Math.min(low[i % 3], points[i]);
    high[i % 3] = Math.max(high[i % 3], points[i]);
  }
  for (let k = 0; k < 3; k++) reach += (high[k] - low[k]) ** 2;
  reach = Math.max(Math.sqrt(reach) / 2, 1e-6);
  const slider = box.querySelector("input");
  slider.min = low[2]; slider.max = high[2] + 1e-3 * reach; slider.step = reach / 500;
  slider.value = Math.min(data.cut, slider.max);
  const FOCAL = 1.9;  // of half the picture's shorter side
  let view = { turn: -2.3, tilt: 0.75, far: 2 * reach, target: [0, 0, 0] }, picked = 0, shown = 0, clip = null;
  const place = () => {
    const ct = Math.cos(view.tilt), st = Math.sin(view.tilt), c = Math.cos(view.turn), s = Math.sin(view.turn);
    const back = [ct * c, ct * s, st], right = [-s, c, 0], up = [-st * c, -st * s, ct];
    const eye = view.target.map((t, k) => t + view.far * back[k]);
    return { back, right, up, eye };
  };
  const draw = () => {
    shown = 0;
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    const W = Math.round(canvas.clientWidth * ratio), H = Math.round(canvas.clientHeight * ratio);
    if (canvas.width !== W || canvas.height !== H) { canvas.width = W; canvas.height = H; }
    const { back, right, up, eye } = place(), short = Math.min(W, H);
    const fx = FOCAL * short / W, fy = FOCAL * short / H, near = view.far / 100, far = view.far + 4 * reach;
    const dot = (a) => -(a[0] * eye[0] + a[1] * eye[1] + a[2] * eye[2]);
    const a = (far + near) / (far - near), b = -2 * far * near / (far - near);
    clip = new Float32Array(16);
    for (let k = 0; k < 3; k++) {
      clip[4 * k] = fx * right[k]; clip[4 * k + 1] = fy * up[k]; clip[4 * k + 2] = -a * back[k]; clip[4 * k + 3] = -back[k];
    }
    clip[12] = fx * dot(right); clip[13] = fy * dot(up); clip[14] = -a * dot(back) + b; clip[15] = -dot(back);
    gl.viewport(0, 0, W, H);
    gl.clearColor(0.078, 0.086, 0.102, 1);
    gl.enable(gl.DEPTH_TEST);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.uniformMatrix4fv(at.clip, false, clip);
    gl.uniform3fv(at.eye, eye);
    gl.uniform1f(at.disc, 0.8 * data.spacing * FOCAL * short);
    gl.uniform1f(at.cut, slider.value);
    gl.uniform1f(at.picked, picked);
    gl.drawArrays(gl.POINTS, 0, data.count);
  };
  // Back to where all but a few stray points fill the picture.
  const home = () => {
    view = { turn: -2.3, tilt: 0.75, far: 2 * reach, target: [0, 0, 0] };
    const { back, right, up } = place(), W = canvas.clientWidth, H = canvas.clientHeight, short = Math.min(W, H);
    const fx = FOCAL * short / W, fy = FOCAL * short / H, needed = [];
    for (let i = 0; i < data.count; i += 7) {
      const along = (a) => a[0] * points[3 * i] + a[1] * points[3 * i + 1] + a[2] * points[3 * i + 2];
      needed.push(along(back) + 1.06 * Math.max(fx * Math.abs(along(right)), fy * Math.abs(along(up))));
    }
    view.far = Math.max(needed.sort((a, b) => a - b)[Math.floor(0.995 * needed.length)] || 0, 0.05 * reach);
  };
  const redraw = () => { if (!shown) shown = requestAnimationFrame(draw); };

  // The instance under a place of the canvas: the nearest to the eye among points within a few pixels.
  const under = (event) => {
    const frame = canvas.getBoundingClientRect();
    const x = event.clientX - frame.left, y = event.clientY - frame.top, { eye } = place();
    let best = 0, nearest = Infinity;
    for (let i = 0; i < data.count; i++) {
      const px = points[3 * i], py = points[3 * i + 1], pz = points[3 * i + 2];
      if (pz > slider.value) continue;
      const w = clip[3] * px + clip[7] * py + clip[11] * pz + clip[15];
      if (w <= 0 || w >= nearest) continue;
      const u = ((clip[0] * px + clip[4] * py + clip[8] * pz + clip[12]) / w + 1) / 2 * frame.width;
      const v = (1 - (clip[1] * px + clip[5] * py + clip[9] * pz + clip[13]) / w) / 2 * frame.height;
      if ((u - x) ** 2 + (v - y) ** 2 > 30) continue;
      const facing = normals[3 * i] * (eye[0] - px) + normals[3 * i + 1] * (eye[1] - py) + normals[3 * i + 2] * (eye[2] - pz);
      if (facing < 0) continue;
      nearest = w; best = instances[i];
    }
    return best;
  };
  const told = box.querySelector(".told");
  const tell = (instance) => {
    told.replaceChildren();
    if (!instance) return;
    const id = data.ids[instance - 1], card = document.getElementById("instance-" + id);
    const line = document.createElement(card ? "a" : "span");
    if (card) line.href = "#instance-" + id;
    line.textContent = data.names[instance - 1] + " #" + id;
    told.append(line);
  };
  const pick = (instance) => {
    picked = instance;
    tell(instance);
    document.querySelectorAll(".card.picked").forEach((c) => c.classList.remove("picked"));
    const card = instance && document.getElementById("instance-" + data.ids[instance - 1]);
    if (card) card.classList.add("picked");
    redraw();
  };

  const held = new Map();
  let moved = 0;
  const pan = (dx, dy) => {
    const { right, up } = place(), unit = 2 * view.far / (FOCAL * Math.min(canvas.clientWidth, canvas.clientHeight));
    for (let k = 0; k < 3; k++) view.target[k] += unit * (dy * up[k] - dx * right[k]);
  };
  const orbit = (dx, dy) => {
    view.turn -= 0.007 * dx;
    view.tilt = Math.min(1.55, Math.max(-0.6, view.tilt + 0.007 * dy));
  };
  const zoom = (factor) => { view.far = Math.min(8 * reach, Math.max(0.05 * reach, view.far * factor)); };
  canvas.addEventListener("pointerdown", (e) => {
    canvas.setPointerCapture(e.pointerId);
    held.set(e.pointerId, [e.clientX, e.clientY]);
    moved = held.size > 1 ? 99 : 0;
  });
  canvas.addEventListener("pointermove", (e) => {
    const before = held.get(e.pointerId);
    if (!before) { if (e.pointerType === "mouse" && clip && !picked) tell(under(e)); return; }
    const dx = e.clientX - before[0], dy = e.clientY - before[1];
    moved += Math.abs(dx) + Math.abs(dy);
    if (held.size === 2) {
      const other = [...held].find(([id]) => id !== e.pointerId)[1];
      const gap = (p) => Math.hypot(p[0] - other[0], p[1] - other[1]);
      zoom(Math.max(gap(before), 1) / Math.max(gap([e.clientX, e.clientY]), 1));
      pan(dx / 2, dy / 2);
    } else if (e.shiftKey || e.buttons & 6) pan(dx, dy);
    else orbit(dx, dy);
    held.set(e.pointerId, [e.clientX, e.clientY]);
    redraw();
  });
  const release = (e) => {
    if (held.delete(e.pointerId) && e.type === "pointerup" && moved < 5 && clip) pick(under(e));
  };
  canvas.addEventListener("pointerup", release);
  canvas.addEventListener("pointercancel", release);
  canvas.addEventListener("contextmenu", (e) => e.preventDefault());
  canvas.addEventListener("wheel", (e) => { e.preventDefault(); zoom(Math.exp(0.0012 * e.deltaY)); redraw(); }, { passive: false });
  canvas.addEventListener("dblclick", () => { home(); pick(0); });
  canvas.addEventListener("keydown", (e) => {
    const step = { ArrowLeft: [-20, 0], ArrowRight: [20, 0], ArrowUp: [0, -20], ArrowDown: [0, 20] }[e.key];
    if (step) orbit(...step);
    else if (e.key === "+" || e.key === "=") zoom(0.9);
    else if (e.key === "-") zoom(1.1);
    else if (e.key === "Escape") pick(0);
    else return;
    e.preventDefault();
    redraw();
  });
  slider.addEventListener("input", redraw);
  const recolor = () => {
    gl.bindBuffer(gl.ARRAY_BUFFER, colorBuffer);
    gl.bufferData(gl.ARRAY_BUFFER, document.getElementById("photo").checked ? own : paint, gl.STATIC_DRAW);
    redraw();
  };
  document.querySelectorAll(".mode").forEach((m) => m.addEventListener("change", recolor));
  document.querySelectorAll(".card button").forEach((button) => {
    button.hidden = false;
    button.addEventListener("click", () => {
      pick(data.ids.indexOf(Number(button.value)) + 1);
      box.scrollIntoView({ behavior: "smooth", block: "center" });
    });
  });
  canvas.addEventListener("webglcontextlost", () => box.remove());
  new ResizeObserver(redraw).observe(canvas);
  box.hidden = false;
  home();
  recolor();
})();
