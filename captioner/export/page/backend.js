"use strict";
/* The page's backend without a server: the exported graph, run in the browser by onnxruntime-web.
   See the server's backend.js for its interface. It also runs under Node, where a test compares the resizing. */
(() => {
  const SUPPORT = { bilinear: 1, bicubic: 2, lanczos: 3 };
  const KERNEL = {
    bilinear: (x) => Math.max(1 - x, 0),
    bicubic: (x) => (x < 1 ? (1.5 * x - 2.5) * x * x + 1 : x < 2 ? (((x - 5) * x + 8) * x - 4) * -0.5 : 0),
    lanczos: (x) => (x < 3 ? sinc(x) * sinc(x / 3) : 0),
  };
  function sinc(x) { return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x); }

  /* The weights of input pixels for each output pixel of a line, as in Pillow's Resample.c. */
  function weights(begin, end, length, size, filter) {
    const scale = (end - begin) / size, stretch = Math.max(scale, 1), support = SUPPORT[filter] * stretch;
    return Array.from({ length: size }, (_, place) => {
      const centre = begin + (place + 0.5) * scale;
      const first = Math.max(Math.trunc(centre - support + 0.5), 0);
      const last = Math.min(Math.trunc(centre + support + 0.5), length);
      const values = [];
      for (let pixel = first; pixel < last; pixel++) values.push(KERNEL[filter](Math.abs(pixel - centre + 0.5) / stretch));
      const sum = values.reduce((total, value) => total + value, 0);
      return { first, values: values.map((value) => Math.sign(value) * Math.floor(Math.abs(value / sum) * 4194304 + 0.5) / 4194304) };
    });
  }

  /* Resample pixels {data, width, height, channels} in two passes, each rounded to 8 bits. */
  function resample(source, [top, bottom], [left, right], height, width, filter) {
    const { channels } = source, across = weights(left, right, source.width, width, filter);
    const wide = new Uint8ClampedArray(source.height * width * 3);
    for (let y = 0; y < source.height; y++) {
      for (let x = 0; x < width; x++) {
        const { first, values } = across[x];
        for (let c = 0; c < 3; c++) {
          let sum = 0.5;
          for (let k = 0; k < values.length; k++) sum += values[k] * source.data[(y * source.width + first + k) * channels + c];
          wide[(y * width + x) * 3 + c] = Math.floor(sum);
        }
      }
    }
    const down = weights(top, bottom, source.height, height, filter);
    const small = new Uint8ClampedArray(height * width * 3);
    for (let y = 0; y < height; y++) {
      const { first, values } = down[y];
      for (let place = 0; place < width * 3; place++) {
        let sum = 0.5;
        for (let k = 0; k < values.length; k++) sum += values[k] * wide[(first + k) * width * 3 + place];
        small[y * width * 3 + place] = Math.floor(sum);
      }
    }
    return small;
  }

  /* Resize pixels {data, width, height, channels} to the encoder's size: Uint8Array (height x width x 3). */
  function fit(source, { input_size: [height, width], resizing, filter }) {
    const rows = [0, source.height], columns = [0, source.width];
    if (resizing === "whole") return new Uint8Array(resample(source, rows, columns, height, width, filter).buffer);
    if (resizing === "crop") {
      const scale = Math.max(height / source.height, width / source.width);
      const boxes = [[source.height, height / scale], [source.width, width / scale]].map(([full, kept]) => {
        const begin = (full - kept) / 2;
        return [Math.max(begin, 0), Math.min(begin + kept, full)];
      });
      return new Uint8Array(resample(source, ...boxes, height, width, filter).buffer);
    }
    const scale = Math.min(height / source.height, width / source.width);
    const high = Math.max(1, Math.round(source.height * scale)), wide = Math.max(1, Math.round(source.width * scale));
    const small = resample(source, rows, columns, high, wide, filter), padded = new Uint8Array(height * width * 3);
    const top = Math.floor((height - high) / 2), left = Math.floor((width - wide) / 2);
    for (let y = 0; y < high; y++) padded.set(small.subarray(y * wide * 3, (y + 1) * wide * 3), ((top + y) * width + left) * 3);
    return padded;
  }

  /* The words of a row of tokens: 2 is the end, 0 and 1 are not words. */
  function words(tokens, vocabulary) {
    const end = tokens.indexOf(2);
    return (end < 0 ? tokens : tokens.slice(0, end)).filter((token) => token > 1).map((token) => vocabulary.words[token]);
  }

  function text(said, vocabulary, settings) {
    if (vocabulary.merges) return said.join("").replaceAll("▁", " ").trim();
    return said.join(" ").replace(new RegExp(settings.no_space_between, "gu"), "");
  }

  /* Caption pixels with a session of onnxruntime-web (or onnxruntime-node); best first, without impossible captions. */
  async function captionPixels(ort, session, pixels, vocabulary, settings, n) {
    const [height, width] = settings.input_size;
    const found = await session.run({ pictures: new ort.Tensor("uint8", pixels, [1, height, width, 3]) });
    const [, count, length] = found.tokens.dims, tokens = Array.from(found.tokens.data);
    return Array.from({ length: Math.min(n, count) }, (_, rank) => rank)
      .filter((rank) => found.log_probs.data[rank] > -1e8)
      .map((rank) => {
        const said = words(tokens.slice(rank * length, (rank + 1) * length), vocabulary);
        return { caption: text(said, vocabulary, settings), tokens: said, log_prob: found.log_probs.data[rank], confidence: null, attention: null };
      });
  }

  if (typeof module !== "undefined") {
    module.exports = { fit, captionPixels };
    return;
  }

  const opened = open();
  opened.catch(() => {}); /* the error is reported when `opened` is awaited */
  async function open() {
    if (location.protocol === "file:") throw new Error("A browser cannot load the model from a file: address. In this folder, run: python -m http.server");
    const [settings, vocabulary] = await Promise.all(["settings.json", "vocabulary.json"].map(async (name) => {
      const answer = await fetch(name);
      if (!answer.ok) throw new Error(`${name} is missing beside this page.`);
      return answer.json();
    }));
    ort.env.wasm.wasmPaths = new URL("runtime/", location.href).href;
    ort.env.wasm.numThreads = 1; /* more threads need headers that static file servers do not send */
    const session = await ort.InferenceSession.create("captioner.onnx", { executionProviders: ["wasm"] });
    return { settings, vocabulary, session };
  }

  async function pixelsOf(file) {
    let bitmap;
    try {
      bitmap = await createImageBitmap(file, { imageOrientation: "from-image", colorSpaceConversion: "none" });
    } catch {
      throw new Error("This browser cannot read this kind of picture.");
    }
    const canvas = new OffscreenCanvas(bitmap.width, bitmap.height), context = canvas.getContext("2d");
    context.fillStyle = "white";
    context.fillRect(0, 0, bitmap.width, bitmap.height);
    context.drawImage(bitmap, 0, 0);
    const { data, width, height } = context.getImageData(0, 0, bitmap.width, bitmap.height);
    bitmap.close();
    return { data, width, height, channels: 4 };
  }

  window.captionerBackend = {
    async about() {
      const { settings } = await opened;
      return {
        name: settings.name, text: settings.about, attention: false, most: settings.captions,
        types: "image/jpeg,image/png,image/webp,image/gif,image/bmp,image/avif",
        privacy: "Pictures never leave this computer, because the model runs in this page.", docs: false,
      };
    },
    async caption(file, { n }) {
      const { settings, vocabulary, session } = await opened;
      const pixels = fit(await pixelsOf(file), settings);
      return { captions: await captionPixels(ort, session, pixels, vocabulary, settings, n) };
    },
  };
})();
