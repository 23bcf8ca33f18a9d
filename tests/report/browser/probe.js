// Put at the end of a copy of a report: uses the page as a reader would and writes down what it
// found, as JSON in a <pre id="probe"> of the page around it.
"use strict";
(function () {
  function value(cell) { return cell.dataset.value === undefined ? null : cell.dataset.value; }
  function name(cell) {
    return Array.from(cell.childNodes)
      .filter(function (node) { return node.nodeType === Node.TEXT_NODE; })
      .map(function (node) { return node.textContent; }).join("").trim();
  }
  function cells(table) {
    return Array.from(table.tBodies[0].rows).map(function (row) {
      return Array.from(row.cells).map(function (cell) { return { text: name(cell), value: value(cell) }; });
    });
  }
  // After a click a column's figures rise (or fall), and cells without one come last.
  function sorted(table, column, sign) {
    var values = Array.from(table.tBodies[0].rows).map(function (row) { return value(row.cells[column]); });
    var figures = values.filter(function (v) { return v !== null; }).map(Number);
    var last = values.slice(figures.length).every(function (v) { return v === null; });
    return last && figures.every(function (v, i) { return i === 0 || sign * (v - figures[i - 1]) >= 0; });
  }
  var out = { seen: window.seen, tables: {}, unsorted: [], copied: {}, sorts: 0, charts: [], small: [] };
  out.inner = window.innerWidth;
  out.scroll = document.scrollingElement.scrollWidth;
  document.querySelectorAll("details").forEach(function (details) { details.open = true; });
  out.scrollOpen = document.scrollingElement.scrollWidth;
  out.requests = performance.getEntriesByType("resource").map(function (entry) { return entry.name; });
  document.querySelectorAll("figure").forEach(function (figure) {
    var box = figure.querySelector("svg").getBoundingClientRect();
    out.charts.push({ id: figure.id, width: box.width, height: box.height });
    figure.querySelectorAll("svg text").forEach(function (text) {
      var height = text.getBoundingClientRect().height;
      if (height < 6) { out.small.push(figure.id + ": " + text.textContent.trim() + " " + height); }
    });
  });
  document.querySelectorAll("table.data").forEach(function (table) {
    out.tables[table.id] = cells(table);
    out.copied[table.id] = {
      markdown: window.migtaxTables.markdown(table).split("\n").length,
      csv: window.migtaxTables.csv(table).split("\r\n").length,
    };
    Array.from(table.tHead.rows[0].cells).forEach(function (head, column) {
      if (!head.classList.contains("num")) { return; }
      var button = head.querySelector("button.sort");
      [1, -1].forEach(function (sign) {
        button.click();
        out.sorts += 1;
        if (!sorted(table, column, sign)) { out.unsorted.push(table.id + " " + column + " " + sign); }
      });
    });
  });
  var outer = window.parent.document, pre = outer.createElement("pre");
  pre.id = "probe";
  pre.textContent = JSON.stringify(out);
  outer.body.textContent = "";
  outer.body.appendChild(pre);
})();
