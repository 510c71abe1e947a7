"use strict";
/* The page's backend: the server that delivered the page.

   Another backend must be an object with the same two functions:
   about()                -> { name, text, attention, most, types, privacy, docs }
   caption(file, { n })   -> { captions: [{ caption, confidence, tokens, attention }] }, best first;
                             attention is null or { columns, box, weights } as in the API;
   an error may have `needsToken` or `retryAfter` (seconds). */
window.captionerBackend = (() => {
  const KEY = "captioner-token";
  let token = null;
  try { token = sessionStorage.getItem(KEY); } catch { /* a private window without storage */ }

  async function ask(path, options = {}) {
    const headers = token ? { Authorization: `Bearer ${token}` } : {};
    let answer;
    try {
      answer = await fetch(path, { ...options, headers: { ...headers, ...options.headers } });
    } catch {
      throw new Error("The server does not respond.");
    }
    const content = await answer.json().catch(() => ({}));
    if (answer.ok) return content;
    const error = new Error(content.error || `The server answered ${answer.status}.`);
    error.needsToken = answer.status === 401;
    if (answer.status === 503 || answer.status === 504) error.retryAfter = Number(answer.headers.get("retry-after")) || 1;
    throw error;
  }

  return {
    async about() {
      const model = await ask("model");
      const bleu = model.scores && model.scores.bleu_4;
      const made = [model.architecture, model.encoder].filter(Boolean).join(" over ");
      return {
        name: model.name,
        text: [model.name, made, bleu === undefined ? "" : `BLEU-4 ${(100 * bleu).toFixed(1)}`].filter(Boolean).join(" · "),
        attention: model.attention,
        most: model.limits.captions,
        types: "image/jpeg,image/png,image/webp,image/gif,image/bmp,image/tiff,image/avif",
        privacy: "Pictures are sent only to this server, which does not store them.",
        docs: true,
      };
    },
    async caption(file, { n }) {
      const query = new URLSearchParams({ n, attention: "true" });
      return ask(`caption?${query}`, { method: "POST", body: file, headers: { "Content-Type": "application/octet-stream" } });
    },
    useToken(given) {
      token = given;
      try { sessionStorage.setItem(KEY, given); } catch { /* then the token lasts until the page is closed */ }
    },
  };
})();
