// The pictures of one case: zoom and pan in step, window and level, the heat map's opacity, before and after.
// Everything happens in the browser: no click asks the server, and no picture leaves the page.

const MOST = 32;
const kept = { opacity: 55, outline: false, show: "all" }; // from case to case, as long as the page is open
let view = { key: null };

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (typeof value === "boolean") element.toggleAttribute(name, value);
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

function picture(source, alt, name = "") {
  return make("img", { src: source, alt, class: name, draggable: "false" });
}

function stack(...layers) {
  return make("div", { class: "stack" }, ...layers);
}

export default function ({ data, parentElement }) {
  const root = parentElement.querySelector(".viewer");
  if (root.dataset.stamp === data.stamp) return;
  root.dataset.stamp = data.stamp;
  if (view.key !== data.key) {
    view = { key: data.key, zoom: 1, x: 0, y: 0, center: 127.5, width: 255, before: 0 };
  }
  const frames = [];

  function frame(title, ...layers) {
    const element = make("div", {
      class: "frame", tabindex: "0", role: "group", style: `aspect-ratio: ${data.width} / ${data.height}`,
      "aria-label": `${title}. Plus and minus zoom, 0 fits, arrow keys move.`,
    }, ...layers);
    element.addEventListener("keydown", press);
    element.addEventListener("wheel", wheel, { passive: false });
    element.addEventListener("pointerdown", grab);
    element.addEventListener("dblclick", (event) => zoomAt(2, ...place(event, element)));
    frames.push(element);
    return element;
  }

  // zoom and pan, in widths and heights of a frame: the same in all of them

  function own() { // the zoom at which a pixel of the image is a pixel of the page
    const wide = frames.find((one) => one.clientWidth)?.clientWidth ?? data.width;
    return data.width / wide;
  }

  function place(event, element) {
    const box = element.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  }

  function zoomAt(factor, atX = 0.5, atY = 0.5) {
    const zoom = Math.min(Math.max(view.zoom * factor, Math.min(1, own())), MOST * Math.max(1, own()));
    view.x = atX - (atX - view.x) * zoom / view.zoom;
    view.y = atY - (atY - view.y) * zoom / view.zoom;
    view.zoom = zoom;
    draw();
  }

  function fit() {
    Object.assign(view, { zoom: 1, x: 0, y: 0 });
    draw();
  }

  function move(x, y) {
    view.x += x;
    view.y += y;
    draw();
  }

  function press(event) {
    const steps = { ArrowLeft: [0.1, 0], ArrowRight: [-0.1, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1] };
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "+" || event.key === "=") zoomAt(1.25);
    else if (event.key === "-") zoomAt(0.8);
    else if (event.key === "0") fit();
    else if (event.key in steps) move(...steps[event.key]);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  // A slider or a list that still has the focus must not swallow the page's own keys, as N for the next case.
  root.onkeydown = (event) => {
    const plain = /^[a-z1-9]$/i.test(event.key) && !event.ctrlKey && !event.metaKey && !event.altKey;
    if (!plain || !event.target.matches("input, select")) return;
    event.preventDefault();
    event.stopPropagation();
    const { key, code } = event;
    document.body.dispatchEvent(new KeyboardEvent("keydown", { key, code, bubbles: true }));
    document.body.dispatchEvent(new KeyboardEvent("keyup", { key, code, bubbles: true }));
  };

  function wheel(event) {
    if (!event.ctrlKey && !event.metaKey) return; // the wheel alone scrolls the page
    event.preventDefault();
    zoomAt(Math.exp(-event.deltaY / 300), ...place(event, event.currentTarget));
  }

  function grab(event) {
    if (event.button !== 0) return;
    const element = event.currentTarget;
    let [x, y] = place(event, element);
    element.setPointerCapture(event.pointerId);
    const drag = (moved) => {
      const [nowX, nowY] = place(moved, element);
      move(nowX - x, nowY - y);
      [x, y] = [nowX, nowY];
    };
    element.addEventListener("pointermove", drag);
    element.addEventListener("lostpointercapture", () => element.removeEventListener("pointermove", drag),
      { once: true });
  }

  // what there is to see

  const panes = make("div", { class: "panes" });
  function pane(name, title, ...children) {
    panes.append(make("figure", { "data-pane": name }, make("figcaption", {}, title), ...children));
  }
  const outlines = () => (data.outline ? [picture(data.outline, "", "outline")] : []);
  pane("image", "Image", frame("Image", stack(picture(data.image, data.image_alt, "windowed"), ...outlines())));
  if (data.heat) {
    pane("heat", "Heat map", frame("Heat map", stack(
      picture(data.image, "", "windowed"), picture(data.heat, data.heat_alt, "heat"), ...outlines())));
  }
  const divider = make("div", { class: "divider" });
  const curtain = make("div", { class: "curtain" });
  if (data.healthy) {
    curtain.append(stack(picture(data.healthy, data.healthy_alt, "windowed")));
    pane("healthy", "Healthy counterpart",
      frame("Image and healthy counterpart", stack(picture(data.image, "", "windowed")), curtain, divider),
      slider("Image, or its healthy counterpart", 0, 100, () => view.before, (value) => { view.before = value; },
        (value) => (value ? `${value} % image` : "counterpart")));
  }

  // what there is to set

  function slider(title, low, high, get, set, words) {
    const said = make("output", {}, words(get()));
    const input = make("input", { type: "range", min: low, max: high, step: 1, "aria-label": title, value: get() });
    input.addEventListener("input", () => { set(Number(input.value)); draw(); });
    input.refresh = () => { input.value = get(); said.textContent = words(get()); };
    return make("label", { class: "slider" }, make("span", {}, title), input, said);
  }

  function choice(title, options, get, set) {
    const select = make("select", { "aria-label": title },
      ...options.map(([value, words]) => make("option", { value, selected: value === get() }, words)));
    select.addEventListener("change", () => { set(select.value); draw(); });
    return make("label", { class: "choice" }, make("span", {}, title), select);
  }

  const button = (words, title, onclick) =>
    make("button", { type: "button", title, "aria-label": title, onclick }, words);
  const percent = make("output", { class: "percent", "aria-label": "Size on the page" });
  const controls = make("div", { class: "controls" }, make("div", { class: "buttons" },
    button("−", "Smaller", () => zoomAt(0.8)), percent, button("+", "Larger", () => zoomAt(1.25)),
    button("Fit", "Fit into the page", fit),
    button("1:1", "Each pixel by itself", () => zoomAt(own() / view.zoom)),
    button("Full screen", "Full screen", () => root.requestFullscreen?.())));
  if (data.heat) {
    const views = [["all", "Side by side"], ["image", "Image alone"], ["heat", "Heat map alone"]];
    if (data.healthy) views.push(["healthy", "Before and after"]);
    controls.append(choice("Show", views, () => kept.show, (value) => { kept.show = value; }));
    controls.append(slider("Heat map opacity", 0, 100, () => kept.opacity, (value) => { kept.opacity = value; },
      (value) => `${value} %`));
  }
  if (data.gray) {
    controls.append(
      slider("Level", 0, 255, () => view.center, (value) => { view.center = value; }, (value) => `${Math.round(value)}`),
      slider("Window", 1, 255, () => view.width, (value) => { view.width = value; }, (value) => `${Math.round(value)}`),
      choice("Preset", [["", "Choose"], ...data.presets.map(([words], index) => [String(index), words])], () => "",
        (index) => { if (index !== "") [, view.center, view.width] = data.presets[Number(index)]; }));
  }
  if (data.outline) {
    const box = make("input", { type: "checkbox", checked: kept.outline });
    box.addEventListener("change", () => { kept.outline = box.checked; draw(); });
    controls.append(make("label", { class: "choice" }, box, "Outline the mask"));
  }

  const filter = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  filter.setAttribute("aria-hidden", "true");
  const curve = ["R", "G", "B"].map((color) => `<feFunc${color} type="linear"/>`).join("");
  filter.innerHTML = `<filter id="window" color-interpolation-filters="sRGB" x="0" y="0" width="1" height="1">
    <feComponentTransfer>${curve}</feComponentTransfer></filter>`;

  function draw() {
    const show = panes.querySelector(`[data-pane="${kept.show}"]`) ? kept.show : "all";
    panes.classList.toggle("alone", show !== "all" || panes.children.length === 1);
    for (const one of panes.children) one.hidden = show !== "all" && one.dataset.pane !== show;
    for (const axis of ["x", "y"]) {
      const free = 1 - view.zoom;
      view[axis] = free > 0 ? free / 2 : Math.min(0, Math.max(free, view[axis]));
    }
    const sharp = view.zoom >= 2 * own() ? "pixelated" : "auto";
    for (const one of root.querySelectorAll(".stack")) {
      one.style.transform = `translate(${view.x * 100}%, ${view.y * 100}%) scale(${view.zoom})`;
    }
    for (const one of root.querySelectorAll(".stack img")) one.style.imageRendering = sharp;
    for (const one of root.querySelectorAll(".heat")) one.style.opacity = kept.opacity / 100;
    for (const one of root.querySelectorAll(".outline")) one.hidden = !kept.outline;
    const changed = data.gray && (view.width !== 255 || view.center !== 127.5);
    for (const one of root.querySelectorAll(".windowed")) one.style.filter = changed ? "url(#window)" : "";
    for (const one of filter.querySelectorAll("feFuncR, feFuncG, feFuncB")) { // PS3.3 C.11.2.1.3.2, the linear window
      one.setAttribute("slope", 255 / view.width);
      one.setAttribute("intercept", 0.5 - view.center / view.width);
    }
    curtain.style.clipPath = `inset(0 0 0 ${view.before}%)`;
    divider.style.left = `${view.before}%`;
    divider.hidden = view.before === 0;
    percent.textContent = `${Math.round(100 * view.zoom / own())} %`;
    for (const one of root.querySelectorAll("input[type=range]")) one.refresh();
    for (const one of root.querySelectorAll("select[aria-label=Preset]")) one.value = "";
  }

  const below = data.scale ? [make("div", { class: "scale" }, picture(data.scale, data.scale_alt),
    make("div", {}, ...data.scale_words.map((words) => make("span", {}, words))))] : [];
  root.replaceChildren(filter, controls, panes, ...below);
  draw();
  const watch = new ResizeObserver(draw); // the share of its own size depends on the page
  watch.observe(panes);
  return () => watch.disconnect();
}
