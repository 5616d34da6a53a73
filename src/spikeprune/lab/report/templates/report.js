"use strict";
(() => {
  const root = document.documentElement;
  const specs = JSON.parse(document.getElementById("figure-data").textContent);
  const plots = [...document.querySelectorAll(".plot")];
  const printWidth = 660;

  // The page's policy allows no style attribute.
  plots.forEach((plot) => { plot.style.minHeight = plot.dataset.height + "px"; });

  // Figures write a colour as "@name"; the style sheet holds its value.
  const themed = (value, key, css) => {
    if (Array.isArray(value)) return value.map((entry) => themed(entry, key, css));
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, themed(v, k, css)]));
    }
    const named = typeof value === "string" && value[0] === "@" && /color/i.test(key);
    return named ? css.getPropertyValue("--" + value.slice(1)).trim() : value;
  };

  const draw = (width) => {
    const css = getComputedStyle(root);
    const touch = matchMedia("(hover: none)").matches;
    const config = {
      displaylogo: false,
      responsive: !width,
      displayModeBar: touch ? false : "hover",
      modeBarButtons: [["toImage"], ["zoom2d", "pan2d", "resetScale2d"]], // none that uploads
    };
    return Promise.all(plots.map((plot) => {
      const spec = themed(specs[plot.dataset.figure], "", css);
      const family = getComputedStyle(document.body).fontFamily;
      spec.layout.font.family = spec.layout.hoverlabel.font.family = family;
      spec.layout.dragmode = touch ? false : "zoom"; // a finger scrolls the page
      if (width) spec.layout.width = width;
      return Plotly.react(plot, spec.data, spec.layout, config);
    }));
  };

  const sort = (table, column, heading) => {
    const up = heading.getAttribute("aria-sort") !== "ascending";
    table.querySelectorAll("thead th").forEach((th) => th.removeAttribute("aria-sort"));
    heading.setAttribute("aria-sort", up ? "ascending" : "descending");
    const number = (row) => parseFloat(row.cells[column].dataset.value);
    const text = (row) => row.cells[column].textContent.trim();
    const body = table.tBodies[0];
    const compare = (a, b) => {
      const [x, y] = [number(a), number(b)];
      if (Number.isNaN(x) !== Number.isNaN(y)) return Number.isNaN(x) ? 1 : -1; // no value: last
      const order = Number.isNaN(x) ? text(a).localeCompare(text(b), "en", { numeric: true }) : x - y;
      return up ? order : -order;
    };
    [...body.rows].sort(compare).forEach((row) => body.append(row));
  };

  document.querySelectorAll("table.sortable").forEach((table) => {
    table.querySelectorAll("thead th").forEach((heading, column) => {
      heading.querySelector("button").addEventListener("click", () => sort(table, column, heading));
    });
  });

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw());
  addEventListener("beforeprint", () => { root.classList.add("printing"); draw(printWidth); });
  addEventListener("afterprint", () => { root.classList.remove("printing"); draw(); });
  draw().then(() => { root.dataset.ready = "true"; });
})();
