// Comfort alone: every page works without this file.
"use strict";

// Shows the page anew while nobody is at work in it.
function refresh(live) {
  let paused = false;
  const button = document.getElementById("pause");
  button.hidden = false;
  button.addEventListener("click", () => {
    paused = !paused;
    button.setAttribute("aria-pressed", String(paused));
    button.textContent = paused ? "Go on" : "Pause";
  });
  setInterval(async () => {
    if (paused || document.hidden || live.contains(document.activeElement)) return;
    try {
      const answer = await fetch(location.href);
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.getElementById("live");
      if (fresh) live.replaceChildren(...fresh.childNodes);
      live.removeAttribute("data-lost");
    } catch {
      live.setAttribute("data-lost", "");
    }
  }, 1000 * Number(live.dataset.refresh));
}

// Tells the value of a pixel under the pointer, or where the arrow keys have gone.
function tellValues(image) {
  const output = image.closest("figure").querySelector("output");
  const nx = Number(image.dataset.nx), ny = Number(image.dataset.ny);
  let loading = null, x = Math.floor(nx / 2), y = Math.floor(ny / 2);

  async function tell() {
    loading = loading || fetch(image.dataset.values).then((answer) => answer.json());
    const { values } = await loading;
    const value = values[y][x];
    output.textContent = `x ${x}, y ${y}: ${value === null ? "no data" : value}`;
  }

  image.addEventListener("pointermove", (event) => {
    const box = image.getBoundingClientRect();
    const column = Math.floor((nx * (event.clientX - box.left)) / box.width);
    const row = Math.floor((ny * (box.bottom - event.clientY)) / box.height);
    if (column < 0 || row < 0 || column >= nx || row >= ny) return;
    [x, y] = [column, row];
    tell();
  });
  const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  image.addEventListener("keydown", (event) => {
    const step = steps[event.key];
    if (!step) return;
    event.preventDefault();
    x = Math.min(Math.max(x + step[0], 0), nx - 1);
    y = Math.min(Math.max(y + step[1], 0), ny - 1);
    tell();
  });
  image.addEventListener("focus", tell);
}

function setZoom(zoom) {
  for (const image of document.querySelectorAll("img[data-nx]")) {
    image.width = zoom * Number(image.dataset.nx);
    image.height = zoom * Number(image.dataset.ny);
  }
}

function onKey(event) {
  const isTyping = event.target.closest("input, select, textarea");
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
  const zoom = document.getElementById("zoom");
  if (zoom && (event.key === "+" || event.key === "-")) {
    const next = zoom.selectedIndex + (event.key === "+" ? 1 : -1);
    zoom.selectedIndex = Math.min(Math.max(next, 0), zoom.length - 1);
    setZoom(Number(zoom.value));
  }
  const first = document.querySelector("form[role=search] select");
  if (first && event.key === "/") {
    event.preventDefault();
    first.focus();
  }
  const links = [...document.querySelectorAll("a.open")];
  if (links.length && (event.key === "j" || event.key === "k")) {
    const now = links.indexOf(document.activeElement);
    const next = event.key === "j" ? now + 1 : Math.max(now - 1, 0);
    links[Math.min(next, links.length - 1)].focus();
  }
}

const live = document.getElementById("live");
if (live && live.dataset.refresh) refresh(live);
document.querySelectorAll("img[data-values]").forEach(tellValues);
document.addEventListener("keydown", onKey);
const zoom = document.getElementById("zoom");
if (zoom) zoom.addEventListener("change", () => setZoom(Number(zoom.value)));
