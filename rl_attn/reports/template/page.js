"use strict";

// Tables: a click on a column's head sorts by it, another one the other way round.
function sortKey(row, column) {
  const text = row.cells[column].dataset.key;
  const number = text === "-inf" ? -Infinity : Number(text);
  return text === "" || Number.isNaN(number) ? text : number;
}

function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a < b ? -1 : a > b ? 1 : 0;
  return String(a).localeCompare(String(b), "en", { numeric: true });
}

for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const body = table.tBodies[0];
      const rows = [...body.rows].sort((a, b) => compare(sortKey(a, column), sortKey(b, column)));
      body.append(...(up ? rows : rows.reverse()));
    });
  });
}

// A word beside the heading of what is wider than its place.
const widths = new ResizeObserver((entries) => {
  for (const { target } of entries)
    target.closest(".part").classList.toggle("wide", target.scrollWidth > target.clientWidth + 1);
});
for (const place of document.querySelectorAll(".part > .scroll, .part > .zoom")) widths.observe(place);

// Theme: the system's until the reader chooses.
const root = document.documentElement;
const system = window.matchMedia("(prefers-color-scheme: dark)");

function remembered(value) {
  try {
    if (value) localStorage.setItem("theme", value);
    return localStorage.getItem("theme");
  } catch {
    return null; // some browsers keep nothing for pages opened from a disk
  }
}

if (remembered()) root.dataset.theme = remembered();
document.getElementById("theme").addEventListener("click", () => {
  const current = root.dataset.theme || (system.matches ? "dark" : "light");
  root.dataset.theme = current === "dark" ? "light" : "dark";
  remembered(root.dataset.theme);
});

// Figures: a click enlarges, a click or Escape closes.
const dialog = document.querySelector("dialog");
for (const button of document.querySelectorAll("button.zoom")) {
  button.addEventListener("click", () => {
    dialog.querySelector(".large").replaceChildren(button.querySelector("svg").cloneNode(true));
    dialog.setAttribute("aria-label", button.getAttribute("aria-label"));
    dialog.showModal();
  });
}
dialog.addEventListener("click", () => dialog.close());
