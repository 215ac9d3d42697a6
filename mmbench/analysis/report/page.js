// A click on a heading sorts its table. Rows that compare equal keep their order.
for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const heading = button.parentElement;
    const table = heading.closest("table");
    const index = heading.cellIndex;
    const ascending = heading.getAttribute("aria-sort") !== "ascending";
    for (const other of table.querySelectorAll("th")) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", ascending ? "ascending" : "descending");
    const sortKey = (row) => {
      const { dataset, textContent } = row.cells[index];
      if (!("sort" in dataset)) return textContent.trim();
      const special = { inf: Infinity, "-inf": -Infinity, nan: NaN };
      return dataset.sort in special ? special[dataset.sort] : Number(dataset.sort);
    };
    const compare = (a, b) => {
      if (typeof a === "string") return a.localeCompare(b, "en", { numeric: true });
      if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b);
      return a < b ? -1 : a > b ? 1 : 0;
    };
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => [sortKey(row), row]);
    rows.sort(([a], [b]) => (ascending ? compare(a, b) : compare(b, a)));
    body.append(...rows.map(([, row]) => row));
  });
}

// A long table has a field that leaves only the rows with all its words.
for (const box of document.querySelectorAll(".box")) {
  const rows = [...box.querySelectorAll("tbody tr")];
  if (rows.length <= 20) continue;
  const field = document.createElement("input");
  field.type = "search";
  field.placeholder = "Show only rows with …";
  field.setAttribute("aria-label", field.placeholder);
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/);
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    }
  });
  box.before(field);
}

// A table that is wider than the page says so, and fades where columns are hidden.
for (const box of document.querySelectorAll(".box")) {
  const mark = () => {
    const hidden = box.scrollWidth - box.clientWidth;
    box.classList.toggle("wide", hidden > 1);
    box.classList.toggle("more", hidden - box.scrollLeft > 1);
  };
  new ResizeObserver(mark).observe(box);
  box.addEventListener("scroll", mark, { passive: true });
}
