// Put before everything in a copy of a report: collects what goes wrong.
"use strict";
window.seen = [];
window.addEventListener("error", function (event) { window.seen.push("error: " + event.message); });
window.addEventListener("unhandledrejection", function (event) { window.seen.push("rejection: " + event.reason); });
document.addEventListener("securitypolicyviolation", function (event) {
  window.seen.push("blocked by policy: " + event.violatedDirective + " " + event.blockedURI);
});
