// Sorting, filtering, opening rows, swiping. Everything is readable without this script.
(() => {
  "use strict";
  const root = document.documentElement;
  root.classList.add("js");
  const $ = (selector, from = document) => from.querySelector(selector);
  const $$ = (selector, from = document) => [...from.querySelectorAll(selector)];

  // Theme: automatic, light, dark.
  const themes = ["auto", "light", "dark"];
  const words = { auto: "automatic", light: "light", dark: "dark" };
  const themeButton = $("#theme");
  const remember = (value) => {
    try {
      if (value === undefined) return localStorage.getItem("parity-theme");
      localStorage.setItem("parity-theme", value);
    } catch { /* a page from a file may not be allowed to store anything */ }
    return null;
  };
  const setTheme = (theme) => {
    root.dataset.theme = theme;
    themeButton.textContent = `Theme: ${words[theme]}`;
    themeButton.setAttribute("aria-label", `Color theme: ${words[theme]}`);
  };
  const stored = remember();
  setTheme(themes.includes(stored) ? stored : "auto");
  themeButton.addEventListener("click", () => {
    const next = themes[(themes.indexOf(root.dataset.theme) + 1) % themes.length];
    setTheme(next);
    remember(next);
  });

  // The state of the view lives in the address, behind #, so that a filtered view can be sent.
  const table = $("#cases");
  const form = $("#filters");
  const fields = ["q", "status", "family", "model"];
  const entries = $$("tbody.entry", table).map((body, index) => ({
    body, index, line: body.rows[0], details: $("details.evidence-of", body), opener: null, data: body.dataset,
  }));
  const byId = new Map(entries.map((entry) => [entry.body.id, entry]));
  const headers = $$("thead th[data-key]", table);
  let sort = { key: "", down: false };

  // Where the cells of a header lie: the first row of headers spans the second one's lanes.
  const columnOf = (key) => {
    const lane = /^(float\d\d)-(l2|margin)$/.exec(key);
    const lanes = [...new Set(headers.map((th) => /^(float\d\d)-/.exec(th.dataset.key)?.[1]).filter(Boolean))];
    if (lane) return 4 + 2 * lanes.indexOf(lane[1]) + ["l2", "margin"].indexOf(lane[2]);
    const fixed = ["status", "method", "model", "family"].indexOf(key);
    return fixed >= 0 ? fixed : 4 + 2 * lanes.length + ["pearson", "ssim"].indexOf(key);
  };
  const valueOf = (entry, column) => {
    const cell = entry.line.cells[column];
    if (cell.dataset.v === undefined) return cell.textContent.trim();
    if (cell.dataset.v === "") return null;
    return cell.dataset.v === "inf" ? Infinity : Number(cell.dataset.v);
  };
  const compare = (a, b) => (typeof a === "string" ? a.localeCompare(b, "en", { numeric: true }) : a - b);

  const applySort = () => {
    const order = [...entries];
    if (sort.key) {
      const column = columnOf(sort.key);
      const keyed = new Map(order.map((entry) => [entry, valueOf(entry, column)]));
      order.sort((one, two) => {
        const a = keyed.get(one), b = keyed.get(two);
        if (a === null || b === null) return (a === null) - (b === null) || one.index - two.index;
        return (sort.down ? -compare(a, b) : compare(a, b)) || one.index - two.index;
      });
    }
    if (order.some((entry, index) => table.tBodies[index] !== entry.body)) {
      const fragment = document.createDocumentFragment();
      for (const entry of order) fragment.append(entry.body);
      table.append(fragment);
    }
    for (const th of headers) {
      if (th.dataset.key === sort.key) th.setAttribute("aria-sort", sort.down ? "descending" : "ascending");
      else th.removeAttribute("aria-sort");
    }
  };

  const applyFilter = () => {
    const want = Object.fromEntries(fields.map((name) => [name, form.elements[name].value.trim()]));
    const parts = want.q.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const { body, data } of entries) {
      const fits = parts.every((part) => data.text.includes(part))
        && (!want.status || data.status === want.status || (want.status === "not-green" && data.ok === "0"))
        && (!want.family || data.family === want.family)
        && (!want.model || data.model === want.model);
      body.hidden = !fits;
      shown += fits;
    }
    $("#shown").textContent = shown === entries.length ? `${shown} rows` : `${shown} of ${entries.length} rows`;
    $("#nothing").hidden = shown > 0;
    for (const link of $$("[data-filter-status]")) {
      if (link.dataset.filterStatus === want.status) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  };

  const save = () => {
    const state = new URLSearchParams();
    for (const name of fields) if (form.elements[name].value) state.set(name, form.elements[name].value);
    if (sort.key) state.set("sort", sort.key + (sort.down ? "-down" : ""));
    const open = entries.filter((entry) => entry.details.open).map((entry) => entry.body.id);
    if (open.length) state.set("open", open.join(","));
    const text = state.toString();
    history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
  };

  const offerCopies = (entry) => {
    for (const line of $$(".reproduce:not(:has(button))", entry.body)) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "quiet copy";
      button.textContent = "Copy";
      button.setAttribute("aria-label", `Copy: ${$("code", line).textContent}`);
      line.append(button);
    }
  };
  const open = (entry, yes) => {
    if (yes) offerCopies(entry);
    if (entry.details.open === yes) return;
    entry.details.open = yes;
    entry.opener.setAttribute("aria-expanded", String(yes));
  };

  const restore = () => {
    const hash = location.hash.slice(1);
    // Row ids hold nothing that an address has to escape.
    const plain = byId.get(hash);
    if (plain) {
      // A link to one row, as the coverage matrix has them; filters that hide it give way.
      if (plain.body.hidden) { form.reset(); applyFilter(); }
      open(plain, true);
      plain.body.scrollIntoView();
      plain.opener.focus({ preventScroll: true });
      save();
      return;
    }
    if (hash && !hash.includes("=")) return;
    const state = new URLSearchParams(hash);
    for (const name of fields) {
      const field = form.elements[name];
      field.value = state.get(name) ?? "";
      if (field.selectedIndex === -1) field.value = "";
    }
    const [, key = "", down] = /^(.*?)(-down)?$/.exec(state.get("sort") ?? "");
    sort = { key: headers.some((th) => th.dataset.key === key) ? key : "", down: Boolean(down) };
    const opened = new Set((state.get("open") ?? "").split(","));
    for (const entry of entries) open(entry, opened.has(entry.body.id));
    applySort();
    applyFilter();
  };

  for (const entry of entries) {
    const head = $("th", entry.line);
    const button = document.createElement("button");
    button.type = "button";
    button.className = "opener";
    button.append($("code", head));
    button.setAttribute("aria-expanded", "false");
    head.prepend(button);
    entry.opener = button;
    entry.details.addEventListener("toggle", () => {
      button.setAttribute("aria-expanded", String(entry.details.open));
    });
    entry.line.addEventListener("click", (event) => {
      if (event.target.closest("a") || String(getSelection())) return;
      open(entry, !entry.details.open);
      save();
    });
  }

  for (const th of headers) {
    const span = $(".sorter", th);
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sorter";
    button.textContent = span.textContent;
    span.replaceWith(button);
    button.addEventListener("click", () => {
      const same = sort.key === th.dataset.key;
      // Numbers are asked for worst first: large errors, small similarities.
      const first = /-(l2|margin)$/.test(th.dataset.key);
      sort = same ? { key: sort.key, down: !sort.down } : { key: th.dataset.key, down: first };
      applySort();
      save();
    });
  }

  form.addEventListener("submit", (event) => event.preventDefault());
  for (const kind of ["input", "change"]) form.addEventListener(kind, () => { applyFilter(); save(); });
  form.addEventListener("reset", () => setTimeout(() => {
    sort = { key: "", down: false };
    applySort();
    applyFilter();
    save();
  }));
  addEventListener("hashchange", restore);
  for (const link of $$("[data-filter-status]")) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      const field = form.elements.status;
      field.value = field.value === link.dataset.filterStatus ? "" : link.dataset.filterStatus;
      applyFilter();
      save();
      $("#cases-title").scrollIntoView();
    });
  }

  // The rows in view, in their order, as CSV; text as `parity.report.csv` writes it.
  const textCell = (text) => {
    const plain = text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (sign) => `\\u${sign.codePointAt(0).toString(16).padStart(4, "0")}`);
    const harmless = /^\s*[=+\-@\uff1d\uff0b\uff0d\uff20]/u.test(plain) ? `'${plain}` : plain;
    return /[",]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
  };
  const csvOfView = () => {
    const numbers = headers.map((th) => th.dataset.key).filter((key) => /-(l2|margin)$|^(pearson|ssim)$/.test(key));
    numbers.sort((a, b) => columnOf(a) - columnOf(b));
    const names = numbers.map((key) => key.replace("-l2", "_rel_l2").replace("-margin", "_margin"));
    const lines = [["model", "method", "family", "status", ...names].join(",")];
    for (const body of table.tBodies) {
      if (body.hidden) continue;
      const { model, family, status } = body.dataset;
      const texts = [model, $("th code", body.rows[0]).textContent, family, status].map(textCell);
      lines.push([...texts, ...numbers.map((key) => body.rows[0].cells[columnOf(key)].dataset.v)].join(","));
    }
    return `${lines.join("\r\n")}\r\n`;
  };
  $("#csv").addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([csvOfView()], { type: "text/csv;charset=utf-8" }));
    link.download = "parity-rows.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });

  // Swipe between the two maps: a range field, so the keyboard works it.
  document.addEventListener("input", (event) => {
    const range = event.target;
    if (range.type !== "range") return;
    $(".stage", range.parentElement).style.setProperty("--cut", `${range.value}%`);
    range.setAttribute("aria-valuetext", `${range.value} % TensorFlow, ${100 - range.value} % torch`);
  });

  document.addEventListener("click", async (event) => {
    const button = event.target.closest(".copy");
    if (!button) return;
    const code = $("code", button.parentElement);
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
    } catch {
      // Without the right to write the clipboard, select the text for the reader to copy.
      getSelection().selectAllChildren(code);
      button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });

  restore();
})();
