"use strict";

const { pictures, neighbours, rankedBy, labels, highlights } = JSON.parse(document.getElementById("data").textContent);
const AT_ONCE = 48;
const byId = (id) => document.getElementById(id);

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

const percent = (value) => (100 * value).toFixed(1);

// The text that the search looks at: all text about a picture.
for (const picture of pictures) {
  picture.text = [picture.id, picture.caption, ...picture.references].join("\n").toLowerCase();
  picture.length = picture.caption.split(" ").filter(Boolean).length;
}

function card(picture, list, withReferences) {
  const frame = element("span", { className: "frame" });
  if (picture.source) {
    frame.append(element("img", { src: picture.source, alt: "", loading: "lazy", decoding: "async" }));
  } else {
    frame.append("no picture");
  }
  const below = element("span", { className: "words-below" });
  below.append(element("span", { className: "caption", textContent: picture.caption || "(no words)" }));
  for (const reference of withReferences ? picture.references.slice(0, 2) : []) {
    below.append(element("span", { className: "reference", textContent: reference }));
  }
  const score = element("b", { textContent: percent(picture.scores[rankedBy]) });
  below.append(element("span", { className: "rank" }, score, ` ${labels[rankedBy]}`));
  const made = element("button", { className: "card", type: "button" }, frame, below);
  made.dataset.id = picture.id;
  made.addEventListener("click", () => open(list, list.indexOf(picture)));
  return made;
}

// --- best and worst

const best = pictures.slice(0, highlights);
const worst = pictures.slice(-highlights).reverse();
byId("best").append(...best.map((picture) => card(picture, best, true)));
byId("worst").append(...worst.map((picture) => card(picture, worst, true)));

// --- all pictures: search, sort, show more

const orders = {
  worst: ["worst first", (a, b) => a.scores[rankedBy] - b.scores[rankedBy]],
  best: ["best first", (a, b) => b.scores[rankedBy] - a.scores[rankedBy]],
  longest: ["longest caption", (a, b) => b.length - a.length],
  shortest: ["shortest caption", (a, b) => a.length - b.length],
  name: ["name", (a, b) => (a.id < b.id ? -1 : 1)],
};
for (const key of Object.keys(pictures[0].scores)) {
  if (key !== rankedBy) {
    orders[key] = [`${labels[key]}, highest first`, (a, b) => b.scores[key] - a.scores[key]];
  }
}
byId("sort").append(...Object.entries(orders).map(([value, [text]]) => element("option", { value, textContent: text })));

let found = [];
let shown = 0;

function showMore() {
  const part = found.slice(shown, shown + AT_ONCE);
  byId("all").append(...part.map((picture) => card(picture, found, false)));
  shown += part.length;
  byId("more").hidden = shown >= found.length;
}

function showFound() {
  const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  found = pictures.filter((picture) => words.every((word) => picture.text.includes(word)));
  found.sort(orders[byId("sort").value][1]);
  byId("count").textContent = `${found.length.toLocaleString("en")} of ${pictures.length.toLocaleString("en")}`;
  byId("all").replaceChildren();
  shown = 0;
  showMore();
}

byId("search").addEventListener("input", showFound);
byId("sort").addEventListener("change", showFound);
byId("more").addEventListener("click", showMore);
showFound();

// --- one picture

const detail = byId("detail");
let around = [];
let at = 0;

function open(list, index) {
  around = list;
  at = index;
  showDetail();
  if (!detail.open) {
    detail.showModal();
  }
}

function step(by) {
  at = (at + by + around.length) % around.length;
  showDetail();
}

function showDetail() {
  const picture = around[at];
  byId("detail-name").textContent = picture.id;
  byId("stage").replaceChildren();
  if (picture.source) {
    const canvas = element("canvas", { width: picture.width, height: picture.height });
    byId("stage").append(element("img", { src: picture.source, alt: picture.caption, width: picture.width, height: picture.height }), canvas);
  }
  showCaption(picture);
  const words = new Set(picture.caption.toLowerCase().split(" ").filter((word) => word.length > 3)); // not "a", "the"
  byId("detail-references").replaceChildren(...picture.references.map((text) => reference(text, words)));
  showTraining(picture);
  byId("detail-scores").replaceChildren(
    ...Object.entries(picture.scores).map(([key, value]) =>
      element("tr", {}, element("th", { textContent: labels[key], scope: "row" }), element("td", { textContent: percent(value) })),
    ),
  );
}

// The most similar training pictures, with their captions.
function showTraining(picture) {
  const near = picture.nearest ?? [];
  byId("detail-training").hidden = picture.copies === undefined;
  byId("detail-copies").textContent = picture.copies
    ? `${picture.copies.toLocaleString("en")} training caption${picture.copies === 1 ? " has" : "s have"} the same words in the same order.`
    : "No training caption has exactly these words.";
  byId("detail-nearest").replaceChildren(
    ...near.map((other) => {
      const thumbnail = neighbours[other.id];
      const seen = thumbnail ? [element("img", { src: thumbnail.source, alt: "", width: thumbnail.width, height: thumbnail.height })] : [];
      const words = element("span", {}, element("b", { textContent: other.similarity.toFixed(2) }), ` ${other.id}: ${other.captions.join(" · ")}`);
      return element("li", {}, ...seen, words);
    }),
  );
}

// A reference, with the words that it shares with the caption marked.
function reference(text, words) {
  const parts = text.split(/([\p{L}\p{N}'-]+)/u).map((part) => (words.has(part.toLowerCase()) ? element("mark", { textContent: part }) : part));
  return element("li", {}, ...parts);
}

function showCaption(picture) {
  const place = byId("detail-caption");
  byId("hint").textContent = "";
  if (!picture.attention) {
    place.textContent = picture.caption || "(no words)";
    return;
  }
  byId("hint").textContent = "Click a word to see where the model looked for it.";
  const buttons = picture.attention.words.map((word, index) => {
    const button = element("button", { type: "button", className: "word", textContent: word });
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", () => {
      const pressed = button.getAttribute("aria-pressed") !== "true";
      buttons.forEach((other) => other.setAttribute("aria-pressed", "false"));
      button.setAttribute("aria-pressed", String(pressed));
      showAttention(picture, pressed ? index : null);
    });
    return button;
  });
  place.replaceChildren(...buttons.flatMap((button) => [button, " "]));
}

// A perceptually uniform colour scale (viridis), from the caption's smallest weight to its largest.
const SCALE = [[68, 1, 84], [71, 44, 122], [59, 81, 139], [44, 113, 142], [33, 144, 141], [39, 173, 129], [92, 200, 99], [170, 220, 50], [253, 231, 37]];

function colour(weight) {
  const place = (weight / 255) * (SCALE.length - 1);
  const low = Math.min(Math.floor(place), SCALE.length - 2);
  return SCALE[low].map((from, channel) => Math.round(from + (place - low) * (SCALE[low + 1][channel] - from)));
}

// Draw the word's weights over the picture, which turns grey so that every colour stands for a weight.
function showAttention(picture, index) {
  const canvas = byId("stage").querySelector("canvas");
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, canvas.width, canvas.height);
  byId("stage").classList.toggle("looking", index !== null);
  if (index === null) {
    return;
  }
  const { maps, columns, box } = picture.attention;
  const weights = Uint8Array.from(atob(maps[index]), (sign) => sign.charCodeAt(0));
  const rows = weights.length / columns;
  const small = element("canvas", { width: columns, height: rows });
  const shade = small.getContext("2d");
  const image = shade.createImageData(columns, rows);
  weights.forEach((weight, region) => {
    image.data.set([...colour(weight), 165], 4 * region);
  });
  shade.putImageData(image, 0, 0);
  const [left, top, width, height] = [box[0] * canvas.width, box[1] * canvas.height, box[2] * canvas.width, box[3] * canvas.height];
  // the encoder did not see the parts outside the grid
  context.fillStyle = "rgb(0 0 0 / .84)";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.clearRect(left, top, width, height);
  context.imageSmoothingQuality = "high";
  context.save();
  context.beginPath();
  context.rect(left, top, width, height);
  context.clip();
  context.drawImage(small, left, top, width, height);
  context.restore();
}

byId("close").addEventListener("click", () => detail.close());
byId("previous").addEventListener("click", () => step(-1));
byId("next").addEventListener("click", () => step(1));
detail.addEventListener("click", (event) => {
  if (event.target === detail) {
    detail.close();
  }
});
detail.addEventListener("keydown", (event) => {
  if (event.key === "ArrowLeft") {
    step(-1);
  } else if (event.key === "ArrowRight") {
    step(1);
  }
});
