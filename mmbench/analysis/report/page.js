// A click on a heading sorts its table; rows that tie keep their order.
for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const heading = button.parentElement;
    const table = heading.closest("table");
    const at = heading.cellIndex;
    const up = heading.getAttribute("aria-sort") !== "ascending";
    for (const other of table.querySelectorAll("th")) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", up ? "ascending" : "descending");
    const rank = (row) => {
      const { dataset, textContent } = row.cells[at];
      if (!("sort" in dataset)) return textContent.trim();
      const words = { inf: Infinity, "-inf": -Infinity, nan: NaN };
      const number = dataset.sort in words ? words[dataset.sort] : Number(dataset.sort);
      return number;
    };
    const compare = (a, b) => {
      if (typeof a === "string") return a.localeCompare(b, "en", { numeric: true });
      if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b);
      return a < b ? -1 : a > b ? 1 : 0;
    };
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => [rank(row), row]);
    rows.sort(([a], [b]) => (up ? compare(a, b) : compare(b, a)));
    body.append(...rows.map(([, row]) => row));
  });
}
