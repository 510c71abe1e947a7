"use strict";
/* The page. It gets its captions only through window.captionerBackend, see backend.js. */
(() => {
  const backend = window.captionerBackend;
  const AT_ONCE = 4; // parallel requests
  const TRIES = 30; // attempts per picture while the server is busy
  const LONGEST_ALT = 125; // characters; screen readers split longer texts
  const $ = (id) => document.getElementById(id);
  const create = (name, properties = {}, ...children) => {
    const element = Object.assign(document.createElement(name), properties);
    element.append(...children);
    return element;
  };

  let about = { most: 5, attention: false };
  const pictures = []; // { file, name, url, state, captions, chosen, correction, draft, error, n, row }
  let current = null;
  let running = 0;
  const names = new Map(); // name -> the last number appended to it
  const paths = new WeakMap(); // file -> its path in the dropped folder

  // Words

  const isLost = (picture) => picture.state === "failed" && !picture.captions && picture.correction === undefined;
  const percent = (share) => `${Math.round(100 * share)} %`;
  const textOf = (picture) => picture.correction ?? picture.captions?.[picture.chosen]?.caption ?? "";
  const confidenceOf = (picture) => picture.correction === undefined ? picture.captions?.[picture.chosen]?.confidence ?? null : null;

  function altText(text) {
    text = text.trim().replace(/^(an?|the) (image|picture|photo|photograph) of (?=\w)/i, "");
    if (text.length >= LONGEST_ALT) {
      const cut = text.slice(0, LONGEST_ALT);
      text = cut.slice(0, Math.max(cut.lastIndexOf(" "), 0)) || cut.slice(0, -1);
    }
    if (text && !/[.!?]$/.test(text)) text += ".";
    return text.charAt(0).toUpperCase() + text.slice(1);
  }

  const tell = (news) => { $("news").textContent = ""; $("news").textContent = news; };

  function nameFor(file, fallback) {
    // A browser gives all pasted pictures and photos the same name; a chosen file keeps its own name.
    const own = paths.get(file) || file.webkitRelativePath || (fallback && /^image\.\w+$/.test(file.name) ? "" : file.name);
    const name = own || `${fallback || "picture"}.${(file.type.split("/")[1] || "png").replace("jpeg", "jpg")}`;
    let free = name;
    for (let number = (names.get(name) || 1) + 1; names.has(free); number += 1) {
      free = name.replace(/(\.\w+)?$/, `-${number}$1`);
      names.set(name, number);
    }
    names.set(free, 1);
    return free;
  }

  // Adding pictures

  function add(files, fallback = "") {
    const fresh = [...files].map((file) => ({ file, name: nameFor(file, fallback), url: URL.createObjectURL(file), state: "waiting", chosen: 0, n: 0 }));
    if (!fresh.length) return;
    pictures.push(...fresh);
    fresh.forEach(addRow);
    $("results").hidden = pictures.length < 2;
    show(fresh[0]);
    tell(fresh.length > 1 ? `${fresh.length} pictures` : `${fresh[0].name}: waiting for its caption`);
    work();
  }

  async function filesOf(entry) {
    if (entry.isFile) {
      return new Promise((done) => entry.file((file) => {
        paths.set(file, entry.fullPath.replace(/^\//, ""));
        done([file]);
      }, () => done([])));
    }
    const reader = entry.createReader();
    const found = [];
    for (;;) {
      const some = await new Promise((done) => reader.readEntries(done, () => done([])));
      if (!some.length) return found;
      for (const one of some) found.push(...await filesOf(one));
    }
  }

  async function dropped(data) {
    const entries = [...data.items || []].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    if (!entries.some((entry) => entry.isDirectory)) return [...data.files];
    const all = (await Promise.all(entries.map(filesOf))).flat();
    return all.filter((file) => /^image\//.test(file.type) || /\.(jpe?g|png|webp|gif|bmp|tiff?|avif)$/i.test(file.name));
  }

  // Requesting captions

  function work() {
    progress();
    while (running < AT_ONCE) {
      // The picture on display comes first.
      const next = current?.state === "waiting" ? current : pictures.find((picture) => picture.state === "waiting");
      if (!next) return;
      running += 1;
      next.state = "asking";
      ask(next).finally(() => { running -= 1; work(); });
    }
  }

  async function ask(picture) {
    const n = Number($("count").value);
    let tries = 0;
    for (;;) {
      try {
        const { captions } = await backend.caption(picture.file, { n });
        const before = picture.captions?.[picture.chosen]?.caption;
        Object.assign(picture, { captions, n, state: "done", error: undefined });
        picture.chosen = Math.max(0, captions.findIndex((one) => one.caption === before));
        break;
      } catch (error) {
        if (error.needsToken) {
          await askForToken();
        } else if (error.retryAfter && ++tries < TRIES) {
          await new Promise((done) => setTimeout(done, 1000 * error.retryAfter * (0.5 + Math.random())));
        } else {
          Object.assign(picture, { state: "failed", error: error.message, n });
          break;
        }
      }
      if (!pictures.includes(picture)) return;
    }
    if (!pictures.includes(picture)) return;
    if (picture.state === "done" && picture.n !== Number($("count").value) && picture === current) picture.state = "waiting";
    renderRow(picture);
    if (picture === current) {
      renderCaption();
      if (picture.state !== "waiting") tell(picture.state === "done" ? textOf(picture) || "No caption" : picture.error);
    }
  }

  let door = null;
  function askForToken() {
    door ??= new Promise((done) => {
      $("door").addEventListener("close", () => {
        backend.useToken?.($("token").value);
        door = null;
        if (!about.name) learn();
        done();
      }, { once: true });
      $("door").showModal();
    });
    return door;
  }

  // One picture

  function show(picture) {
    if (current === picture) return;
    keepDraft();
    current = picture;
    $("invitation").hidden = picture !== null;
    $("unshown").hidden = true;
    $("shown").hidden = $("veil").hidden = picture === null;
    if (picture) $("shown").src = picture.url; else $("shown").removeAttribute("src");
    $("name").textContent = picture?.name ?? "";
    for (const one of pictures) one.row.setAttribute("aria-current", String(one === picture));
    closeCorrection();
    renderCaption();
    if (picture?.draft !== undefined) openCorrection(picture.draft);
    if (picture?.state === "done" && picture.n !== Number($("count").value)) again(picture);
  }

  function renderCaption() {
    look(null);
    const element = $("caption");
    const picture = current;
    const one = picture?.captions?.[picture.chosen];
    const ready = picture !== null && (one !== undefined || picture.correction !== undefined);
    element.className = "caption";
    $("look").textContent = "\u00a0";
    if (!picture) {
      element.classList.add("empty");
      element.replaceChildren("The caption will appear here.");
    } else if (!ready && picture.state === "failed") {
      element.classList.add("failed");
      const retry = create("button", { type: "button", textContent: "Try again" });
      retry.addEventListener("click", () => { again(picture); renderRow(picture); renderCaption(); });
      element.replaceChildren(picture.error, " ", retry);
    } else if (!ready && picture.state === "done") {
      element.classList.add("empty");
      element.replaceChildren("The model has no caption for this picture.");
    } else if (!ready) {
      element.classList.add("waiting");
      element.replaceChildren("Captioning…");
    } else if (picture.correction === undefined && one.attention && one.tokens.length) {
      renderWords(element, one);
      $("look").textContent = "Point at a word to see where the model looked.";
    } else {
      element.replaceChildren(textOf(picture));
    }
    renderConfidence(picture, ready);
    $("copy").disabled = $("correct").disabled = !ready;
    $("shown").alt = ready ? altText(textOf(picture)) : picture?.name ?? "";
    renderAlternatives(picture);
  }

  function renderConfidence(picture, ready) {
    const confidence = picture ? confidenceOf(picture) : null;
    const known = confidence !== null;
    $("bar").classList.toggle("unknown", ready && !known);
    $("bar").style.setProperty("--share", known ? confidence : 0);
    $("sure").textContent = !ready ? "\u00a0"
      : picture.correction !== undefined ? "Corrected by you"
      : known ? `Confidence ${percent(confidence)}`
      : "This model reports no confidence";
  }

  function renderWords(element, one) {
    const spoken = one.caption.split(/\s+/).filter(Boolean);
    const words = spoken.length === one.tokens.length ? spoken : one.tokens;
    const group = create("span");
    group.setAttribute("role", "group");
    group.setAttribute("aria-label", `${one.caption}. Each word shows where the model looked.`);
    words.forEach((word, place) => {
      const button = create("button", { type: "button", className: "word", textContent: word, tabIndex: place ? -1 : 0 });
      button.setAttribute("aria-pressed", "false");
      button.addEventListener("click", () => {
        const pressed = button.getAttribute("aria-pressed") === "true";
        group.querySelectorAll(".word").forEach((other) => other.setAttribute("aria-pressed", "false"));
        button.setAttribute("aria-pressed", String(!pressed));
        look(pressed ? null : place);
      });
      button.addEventListener("pointerenter", (event) => { if (event.pointerType === "mouse") look(place); });
      button.addEventListener("focus", () => { if (button.matches(":focus-visible")) look(place); });
      button.addEventListener("blur", () => look(pressedWord(group)));
      button.addEventListener("keydown", (event) => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        const next = step && group.querySelectorAll(".word")[place + step];
        if (!next) return;
        event.preventDefault();
        button.tabIndex = -1;
        next.tabIndex = 0;
        next.focus();
      });
      group.append(button, " ");
    });
    group.addEventListener("pointerleave", () => look(pressedWord(group)));
    element.replaceChildren(group);
  }

  function pressedWord(group) {
    const place = [...group.querySelectorAll(".word")].findIndex((word) => word.getAttribute("aria-pressed") === "true");
    return place < 0 ? null : place;
  }

  /* Darken the picture except where the model looked for the word at this index. */
  function look(place) {
    const veil = $("veil");
    const attention = current?.captions?.[current.chosen]?.attention;
    const image = $("shown");
    const weights = place === null ? undefined : attention?.weights[place];
    veil.style.opacity = weights ? 1 : 0;
    if (!weights || !image.naturalWidth) return;
    const scale = Math.min(1, 768 / Math.max(image.naturalWidth, image.naturalHeight));
    const width = veil.width = Math.max(1, Math.round(image.naturalWidth * scale));
    const height = veil.height = Math.max(1, Math.round(image.naturalHeight * scale));
    const { columns, box: [left, top, wide, high] } = attention;
    const rows = weights.length / columns;
    const largest = Math.max(...weights, 1e-9);
    const grid = create("canvas", { width: columns, height: rows });
    const dots = grid.getContext("2d").createImageData(columns, rows);
    weights.forEach((weight, index) => { dots.data[4 * index + 3] = Math.round(255 * weight / largest); });
    grid.getContext("2d").putImageData(dots, 0, 0);
    const context = veil.getContext("2d");
    context.globalCompositeOperation = "source-over";
    context.fillStyle = "rgb(8 10 14 / .78)";
    context.fillRect(0, 0, width, height);
    context.globalCompositeOperation = "destination-out";
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = "high";
    context.drawImage(grid, left * width, top * height, wide * width, high * height);
  }

  // Alternatives

  function renderAlternatives(picture) {
    const n = Number($("count").value);
    const captions = picture?.captions ?? [];
    const waiting = picture && (picture.state === "waiting" || picture.state === "asking");
    const items = captions.slice(0, n).map((one, index) => {
      const button = create("button", { type: "button" }, create("span", { textContent: one.caption || "(empty)" }),
        create("span", { className: "soft", textContent: one.confidence === null ? "" : percent(one.confidence) }));
      button.setAttribute("aria-pressed", String(picture.correction === undefined && index === picture.chosen));
      button.addEventListener("click", () => {
        picture.chosen = index;
        picture.correction = undefined;
        renderCaption();
        renderRow(picture);
        $("alternatives").querySelectorAll("button")[index].focus();
      });
      return create("li", {}, button);
    });
    const places = waiting || !picture ? n : items.length;
    while (items.length < places) items.push(create("li", { className: "ghost", ariaHidden: "true" }));
    $("alternatives").replaceChildren(...items);
  }

  function again(picture) {
    if (picture?.state !== "done" && picture?.state !== "failed") return;
    picture.state = "waiting";
    work();
  }

  // Corrections

  function openCorrection(text) {
    $("corrected").value = text;
    $("correction").hidden = false;
  }

  function closeCorrection() {
    const had = $("correction").contains(document.activeElement);
    $("correction").hidden = true;
    if (had) $("correct").focus();
  }

  function startCorrecting() {
    openCorrection(textOf(current));
    $("corrected").focus();
    $("corrected").select();
  }

  function stopCorrecting() {
    if (current) current.draft = undefined;
    closeCorrection();
  }

  // An unsaved correction stays with its picture while another picture is shown.
  function keepDraft() {
    if (!current || $("correction").hidden) return;
    current.draft = $("corrected").value === textOf(current) ? undefined : $("corrected").value;
  }

  function saveCorrection(event) {
    event.preventDefault();
    const text = $("corrected").value.replace(/\s+/g, " ").trim();
    const own = current.captions?.[current.chosen]?.caption ?? "";
    current.correction = text && text !== own ? text : undefined;
    $("correct").disabled = false;
    stopCorrecting();
    renderCaption();
    renderRow(current);
    tell(current.correction === undefined ? "The model's caption is kept" : "Correction saved");
  }

  // The table

  function addRow(picture) {
    const image = create("img", { src: picture.url, alt: "", width: 64, height: 48, loading: "lazy", decoding: "async" });
    image.addEventListener("error", () => { image.removeAttribute("src"); });
    const open = create("button", { type: "button", className: "open" }, image, create("span", { textContent: picture.name }));
    open.addEventListener("click", () => { show(picture); $("stage").scrollIntoView({ block: "nearest", behavior: "smooth" }); });
    const cells = [create("td", {}, open), create("td"), create("td", { className: "number" })];
    cells.forEach((cell) => cell.setAttribute("role", "cell"));
    picture.row = create("tr", {}, ...cells);
    picture.row.setAttribute("role", "row");
    $("rows").append(picture.row);
    renderRow(picture);
  }

  function renderRow(picture) {
    const [, words, number] = picture.row.cells;
    words.className = isLost(picture) ? "failed" : "";
    words.textContent = words.className ? picture.error : textOf(picture) || (picture.state === "done" ? "—" : "…");
    if (picture.correction !== undefined) words.append(create("span", { className: "mark", textContent: "corrected" }));
    const confidence = confidenceOf(picture);
    number.textContent = confidence === null ? "" : percent(confidence);
    progress();
  }

  function progress() {
    const done = pictures.filter((picture) => picture.state === "done" || picture.state === "failed").length;
    const failed = pictures.filter(isLost).length;
    $("progress").textContent = (pictures.length === 1 ? "" : done < pictures.length ? `${done} of ${pictures.length}` : `${pictures.length} pictures`) + (failed ? `, ${failed} without a caption` : "");
    const corrections = pictures.filter((picture) => picture.correction !== undefined).length;
    $("download-corrections").disabled = !corrections;
    $("download-corrections").textContent = corrections ? `Download ${corrections} correction${corrections > 1 ? "s" : ""}` : "Download corrections";
    $("results").hidden = pictures.length < 2 && !corrections;
  }

  const cell = (value) => /[",\r\n]|^\s|\s$/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;

  function save(name, rows) {
    const text = rows.map((row) => row.map((value) => cell(String(value))).join(",") + "\n").join("");
    const url = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
    create("a", { href: url, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60000);
  }

  function downloadTable() {
    save("captions.csv", [["image", "caption", "confidence", "error"], ...pictures.map((picture) => {
      const confidence = confidenceOf(picture);
      return [picture.name, textOf(picture), confidence ?? "", textOf(picture) ? "" : picture.error ?? ""];
    })]);
  }

  function downloadCorrections() {
    // A caption file: `captioner clean` reads it, and so does a recipe's data.captions.
    const corrected = pictures.filter((picture) => picture.correction !== undefined);
    save("corrections.csv", [["image", "caption"], ...corrected.map((picture) => [picture.name, picture.correction])]);
  }

  function clear() {
    const unsaved = pictures.filter((picture) => picture.correction !== undefined).length;
    if (unsaved && !confirm(`Discard ${unsaved} correction${unsaved > 1 ? "s" : ""}?`)) return;
    show(null);
    for (const picture of pictures.splice(0)) URL.revokeObjectURL(picture.url);
    names.clear();
    $("rows").replaceChildren();
    $("results").hidden = true;
    $("choose").focus();
    tell("All pictures removed");
  }

  // The camera

  async function photograph() {
    const touch = matchMedia("(pointer: coarse)").matches;
    if (touch || !navigator.mediaDevices?.getUserMedia) { $("camera-file").click(); return; }
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", width: { ideal: 1280 } } });
    } catch {
      $("camera-file").click();
      return;
    }
    $("video").srcObject = stream;
    $("camera").addEventListener("close", () => {
      stream.getTracks().forEach((track) => track.stop());
      $("video").srcObject = null;
    }, { once: true });
    $("camera").showModal();
  }

  function shoot() {
    const video = $("video");
    if (!video.videoWidth) return;
    const canvas = create("canvas", { width: video.videoWidth, height: video.videoHeight });
    canvas.getContext("2d").drawImage(video, 0, 0);
    canvas.toBlob((blob) => {
      $("camera").close();
      add([new File([blob], "image.jpg", { type: "image/jpeg" })], "photo");
    }, "image/jpeg", 0.92);
  }

  async function copy() {
    const text = altText(textOf(current));
    try {
      await navigator.clipboard.writeText(text);
    } catch { // no permission, or not a secure context
      const area = create("textarea", { value: text, className: "unseen" });
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
      $("copy").focus();
    }
    $("copy").textContent = "Copied";
    tell(`Copied: ${text}`);
    setTimeout(() => { $("copy").textContent = "Copy as alt text"; }, 1600);
  }

  async function learn() {
    try {
      about = { ...about, ...await backend.about() };
    } catch (error) {
      if (error.needsToken) await askForToken(); else $("model").textContent = error.message;
      return;
    }
    $("model").textContent = about.text;
    $("model").title = about.text;
    $("privacy").textContent = about.privacy ?? "";
    $("docs").hidden = !about.docs;
    $("docs").classList.remove("later");
    $("count").max = Math.min(10, about.most);
    if (about.types) $("files").accept = about.types;
  }

  $("invitation").addEventListener("click", () => $("files").click());
  $("choose").addEventListener("click", () => $("files").click());
  for (const id of ["files", "camera-file"]) {
    $(id).addEventListener("change", () => { add($(id).files, id === "files" ? "" : "photo"); $(id).value = ""; });
  }
  $("photograph").addEventListener("click", photograph);
  $("shutter").addEventListener("click", shoot);
  $("camera-close").addEventListener("click", () => $("camera").close());
  $("copy").addEventListener("click", copy);
  $("correct").addEventListener("click", startCorrecting);
  $("correction").addEventListener("submit", saveCorrection);
  $("discard").addEventListener("click", stopCorrecting);
  $("corrected").addEventListener("keydown", (event) => {
    if (event.key === "Escape") stopCorrecting();
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); $("correction").requestSubmit(); }
  });
  $("download").addEventListener("click", downloadTable);
  $("download-corrections").addEventListener("click", downloadCorrections);
  $("clear").addEventListener("click", clear);
  $("shown").addEventListener("error", () => { $("unshown").hidden = false; $("shown").hidden = true; });
  $("shown").addEventListener("load", () => { $("unshown").hidden = true; $("shown").hidden = false; });
  let later;
  $("count").addEventListener("input", () => {
    $("count-shown").textContent = $("count").value;
    clearTimeout(later);
    if (!current) { renderAlternatives(null); return; }
    const enough = current.captions?.length >= Number($("count").value);
    if (!enough && (current.state === "done" || current.state === "failed")) current.state = "waiting";
    if (current.state === "waiting") later = setTimeout(work, 250); // restarted at each step, so that only the last value sends a request
    renderAlternatives(current);
  });

  let inside = 0;
  const hasFiles = (event) => [...event.dataTransfer?.types ?? []].includes("Files");
  const over = (change) => { inside = Math.max(0, inside + change); $("drop").classList.toggle("over", inside > 0); };
  addEventListener("dragenter", (event) => { if (hasFiles(event)) { event.preventDefault(); over(1); } });
  addEventListener("dragleave", (event) => { if (hasFiles(event)) over(-1); });
  addEventListener("dragover", (event) => { if (hasFiles(event)) event.preventDefault(); });
  addEventListener("drop", async (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    over(-inside);
    add(await dropped(event.dataTransfer), "picture");
  });
  addEventListener("paste", (event) => {
    const files = [...event.clipboardData?.files ?? []].filter((file) => file.type.startsWith("image/"));
    if (!files.length) return;
    event.preventDefault();
    add(files, "pasted");
  });
  addEventListener("beforeunload", (event) => {
    if (pictures.some((picture) => picture.correction !== undefined)) event.preventDefault();
  });

  renderAlternatives(null);
  learn();
})();
