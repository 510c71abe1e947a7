"use strict";
/* Show openapi.json as a readable page. */
(async () => {
  const create = (name, properties = {}, ...children) => {
    const element = Object.assign(document.createElement(name), properties);
    element.append(...children);
    return element;
  };
  const here = location.href.replace(/\/docs.*$/, "");
  document.querySelectorAll(".here").forEach((place) => { place.textContent = here; });
  const api = await (await fetch("openapi.json")).json();
  document.getElementById("about").textContent = api.info.description;
  document.getElementById("locked").hidden = !api.security;

  const resolve = (schema) => schema.$ref ? { ...api.components.schemas[schema.$ref.split("/").pop()], name: schema.$ref.split("/").pop() } : schema;
  function kind(schema) {
    const found = resolve(schema);
    if (found.enum) return found.enum.join(", ");
    if (found.type === "array") return `list of ${kind(found.items)}`;
    if (found.anyOf || found.oneOf) return (found.anyOf || found.oneOf).map(kind).join(" or ");
    if (found.format === "binary") return "file";
    const type = [found.type].flat().join(" or ");
    return found.minimum === undefined ? type : `${type}, ${found.minimum} to ${found.maximum}`;
  }
  function fields(properties, required = []) {
    const list = create("dl");
    for (const [name, schema] of Object.entries(properties)) {
      const found = resolve(schema);
      const needed = required.includes(name) ? "" : "optional; ";
      list.append(create("dt", { textContent: name }), create("dd", { textContent: [needed + kind(schema), found.description].filter(Boolean).join(". ") }));
    }
    return list;
  }
  for (const [path, methods] of Object.entries(api.paths)) {
    for (const [method, about] of Object.entries(methods)) {
      const article = create("article", {}, create("h2", {}, create("b", { textContent: method.toUpperCase() }), path, create("span", { textContent: about.summary })));
      for (const [type, { schema }] of Object.entries(about.requestBody?.content ?? {})) {
        const found = resolve(schema);
        article.append(create("h3", { textContent: `send ${type}` }), found.properties ? fields(found.properties, found.required) : create("p", { className: "soft", textContent: "the picture itself; options in the address" }));
      }
      for (const [type, { schema }] of Object.entries(about.responses["200"].content ?? {})) {
        const found = resolve(schema);
        if (found.properties) article.append(create("h3", { textContent: `get ${type}` }), fields(found.properties, found.required));
      }
      const others = Object.entries(about.responses).filter(([status]) => status !== "200");
      if (others.length) {
        article.append(create("h3", { textContent: "or" }));
        const list = create("dl");
        for (const [status, reason] of others) list.append(create("dt", { textContent: status }), create("dd", { textContent: reason.description }));
        article.append(list);
      }
      document.getElementById("paths").append(article);
    }
  }
})();
