// Before the first paint: light or dark, as Airflow around this page has it.
(function () {
  "use strict";
  var root = document.documentElement;
  var set = function (dark) { root.classList.toggle("dark", dark); };
  try {
    var outer = window.parent !== window && window.parent.document.documentElement;
    if (outer) {
      var follow = function () { set(outer.classList.contains("dark")); };
      follow();
      new MutationObserver(follow).observe(outer, { attributes: true, attributeFilter: ["class"] });
      return;
    }
  } catch (refused) { /* another origin around us: the system decides */ }
  var system = window.matchMedia("(prefers-color-scheme: dark)");
  set(system.matches);
  system.addEventListener("change", function (event) { set(event.matches); });
})();
