"use strict";
// Adds sorting and copying to the tables. The page is whole without it.
(function () {
  function rows(table) { return Array.from(table.tBodies[0].rows); }
  function key(row, column) {
    var cell = row.cells[column];
    if (cell.dataset.value !== undefined) { return Number(cell.dataset.value); }
    return cell.textContent.trim();
  }
  // Figures before texts (a dash stands for no figure), whichever way the order runs.
  function order(a, b, sign) {
    var x = typeof a === "number", y = typeof b === "number";
    if (x && y) { return sign * (a - b); }
    if (x !== y) { return x ? -1 : 1; }
    return sign * a.localeCompare(b, "en", { numeric: true });
  }
  function sort(table, column) {
    var head = table.tHead.rows[0].cells[column];
    var up = head.getAttribute("aria-sort") !== "ascending";
    Array.from(table.tHead.rows[0].cells).forEach(function (cell) { cell.removeAttribute("aria-sort"); });
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    // Sorted by a column, rows of one group stand together no more.
    rows(table).forEach(function (row) { row.classList.remove("group"); });
    rows(table)
      .map(function (row) { return { row: row, key: key(row, column) }; })
      .sort(function (a, b) { return order(a.key, b.key, up ? 1 : -1); })
      .forEach(function (item) { table.tBodies[0].appendChild(item.row); });
  }
  function words(cell) {
    var small = cell.querySelector("small"), unit = cell.querySelector(".unit"), text = "";
    cell.childNodes.forEach(function (node) {
      if (node !== small && node !== unit && node.nodeName !== "BUTTON") { text += node.textContent; }
    });
    text = text.trim();
    if (unit) { text += ", " + unit.textContent.trim(); }
    if (small) { text += " (" + small.textContent.trim() + ")"; }
    return text;
  }
  function grid(table) {
    return [table.tHead.rows[0]].concat(rows(table)).map(function (row) { return Array.from(row.cells); });
  }
  function markdown(table) {
    var lines = grid(table).map(function (cells) {
      return "| " + cells.map(function (cell) { return words(cell).replace(/\|/g, "\\|"); }).join(" | ") + " |";
    });
    var rule = Array.from(table.tHead.rows[0].cells).map(function (cell) {
      return cell.classList.contains("num") ? "---:" : "---";
    });
    lines.splice(1, 0, "| " + rule.join(" | ") + " |");
    return lines.join("\n") + "\n";
  }
  // Exact values where there are any, so that a spreadsheet gets all digits.
  function csv(table) {
    return grid(table).map(function (cells) {
      return cells.map(function (cell) {
        var text = cell.dataset.value !== undefined ? cell.dataset.value : words(cell);
        return /[",\n\r]/.test(text) ? '"' + text.replace(/"/g, '""') + '"' : text;
      }).join(",");
    }).join("\r\n") + "\r\n";
  }
  function copy(text, button) {
    function done() {
      var label = button.textContent;
      button.textContent = "Copied";
      setTimeout(function () { button.textContent = label; }, 1200);
    }
    function old() {
      var area = document.createElement("textarea");
      area.value = text;
      document.body.appendChild(area);
      area.select();
      document.execCommand("copy");
      area.remove();
      done();
    }
    if (navigator.clipboard) { navigator.clipboard.writeText(text).then(done, old); } else { old(); }
  }
  function button(label, act) {
    var made = document.createElement("button");
    made.type = "button";
    made.textContent = label;
    made.addEventListener("click", function () { act(made); });
    return made;
  }
  document.querySelectorAll("table.data").forEach(function (table) {
    Array.from(table.tHead.rows[0].cells).forEach(function (cell, column) {
      var made = button("\u21c5", function () { sort(table, column); });
      made.className = "sort";
      made.setAttribute("aria-label", "Sort by " + words(cell));
      cell.appendChild(made);
    });
    var tools = document.createElement("div");
    tools.className = "tools";
    tools.appendChild(button("Copy as Markdown", function (made) { copy(markdown(table), made); }));
    tools.appendChild(button("Copy as CSV", function (made) { copy(csv(table), made); }));
    table.parentNode.after(tools);
  });
  var command = document.getElementById("command");
  if (command) {
    var tools = document.createElement("div");
    tools.className = "tools";
    tools.appendChild(button("Copy command", function (made) { copy(command.textContent, made); }));
    command.after(tools);
  }
  window.migtaxTables = { markdown: markdown, csv: csv, sort: sort };
})();
