"use strict";
// Keeps the page up to date, and says when it cannot. Without it every page works: it is reloaded, forms are sent.
(() => {
  const body = document.body;
  const every = Number(body.dataset.refreshSeconds) * 1000;
  const refreshes = body.dataset.refreshes === "yes";
  const content = document.getElementById("content");
  const stale = document.getElementById("stale");
  const live = document.getElementById("live");
  const pause = document.getElementById("pause");
  const icon = document.getElementById("icon");
  const findingsEvery = 60000;
  let paused = false, asking = false, problem = "", looked = null;
  // When what is shown was so at the latest: an answer may be long under way, and a machine may sleep meanwhile.
  let known = before({ ran: 0, wall: performance.timeOrigin }, main());

  function findings() {
    return document.getElementById("findings-now");
  }

  function main() {
    return document.getElementById("main");
  }

  // Both clocks: one stops while the machine sleeps, the other may be set back.
  function now() {
    return { ran: performance.now(), wall: Date.now() };
  }

  // The moment of the reading, which was no later than so long before it was asked for.
  function before(asked, fresh) {
    // A server that does not say how old it is, such as one of another version, has not said that it is new.
    const age = fresh.dataset.age ? 1000 * Number(fresh.dataset.age) : NaN;
    return { ran: asked.ran - age, wall: asked.wall - age };
  }

  function since(moment) {
    return Math.max(performance.now() - moment.ran, Date.now() - moment.wall);
  }

  // Where a project's policy asks for trusted types: the text is our own server's.
  const trusted = (window.trustedTypes || { createPolicy: (name, rules) => rules }).createPolicy("celery-health", { createHTML: (text) => text });

  // The server has escaped everything; what it sends is put in as it is.
  async function fetchPart(part, milliseconds) {
    const canceller = new AbortController();
    const timer = setTimeout(() => canceller.abort(), milliseconds);
    const query = body.dataset.again ? body.dataset.again + "&part=" + part : "part=" + part;
    try {
      const answer = await fetch("?" + query, {
        credentials: "same-origin", cache: "no-store", redirect: "error", signal: canceller.signal,
      });
      if (answer.status === 401 || answer.status === 403) throw new Error("You are logged out: reload the page.");
      if (!answer.ok || answer.headers.get("X-Celery-Health-Part") !== part) throw new Error("The server answered " + answer.status + ".");
      const template = document.createElement("template");
      template.innerHTML = trusted.createHTML(await answer.text());
      return template.content;
    } catch (error) {
      if (error.name === "AbortError") throw new Error("The server does not answer.");
      if (error.name === "TypeError") throw new Error("The server cannot be reached, or you are logged out: reload the page.");
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  // Only what differs is changed: what somebody has opened, selected, scrolled to or stands on stays as it is.
  let hold = null, stand = null;

  function patch(old, fresh) {
    if (old.hasAttribute("data-kept")) return; // has a part of its own
    if (old === hold) {
      old.classList.add("held");
      old.title = "Not updated while text in it is selected.";
      return;
    }
    for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name) && !isTheirs(old, name)) old.removeAttribute(name);
    for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value && !isTheirs(old, name)) old.setAttribute(name, value);
    patchChildren(old, fresh);
  }

  function isTheirs(element, name) {
    return name === "open" && element.nodeName === "DETAILS";
  }

  function isCopy(node) {
    return node.nodeName === "BUTTON" && node.classList.contains("copy");
  }

  // By what a node is found again: a row by what it leads to.
  function kindOf(node) {
    let key = node.id || "";
    if (!key && (node.nodeName === "TR" || node.nodeName === "LI")) {
      const link = node.querySelector("a[href]");
      key = link ? link.getAttribute("href") : "";
    }
    return node.nodeName + " " + key;
  }

  function nextOf(node) {
    let next = node.nextSibling;
    while (next && isCopy(next)) next = next.nextSibling;
    return next;
  }

  function patchChildren(old, fresh) {
    const left = new Map();
    for (const node of old.childNodes) {
      if (isCopy(node)) continue;
      const kind = kindOf(node);
      left.has(kind) ? left.get(kind).push(node) : left.set(kind, [node]);
    }
    const wanted = [...fresh.childNodes].map((child) => {
      const match = (left.get(kindOf(child)) || []).shift();
      if (!match) return child;
      if (match.nodeType !== Node.ELEMENT_NODE) {
        if (match.nodeValue !== child.nodeValue) match.nodeValue = child.nodeValue;
      } else if (match === hold || !match.isEqualNode(child)) {
        patch(match, child);
      }
      return match;
    });
    for (const nodes of left.values()) for (const node of nodes) {
      if (hold && node.contains(hold)) wanted.push(node);
      else node.remove();
    }
    place(old, wanted);
  }

  // What is moved loses focus and selection: the others are moved around it.
  function place(parent, wanted) {
    if (!wanted.length) return;
    const isFixed = (node) => (hold && node.contains(hold)) || (stand && node.contains(stand));
    const fixed = Math.max(0, wanted.findIndex(isFixed));
    if (wanted[fixed].parentNode !== parent) parent.insertBefore(wanted[fixed], parent.firstChild);
    for (let i = fixed - 1; i >= 0; i--) if (nextOf(wanted[i]) !== wanted[i + 1]) parent.insertBefore(wanted[i], wanted[i + 1]);
    for (let i = fixed + 1; i < wanted.length; i++) {
      const after = nextOf(wanted[i - 1]);
      if (after !== wanted[i]) parent.insertBefore(wanted[i], after);
    }
  }

  function isSelecting(place) {
    const selection = document.getSelection();
    return selection !== null && !selection.isCollapsed && place.contains(selection.anchorNode);
  }

  // The smallest whole thing around what is selected; null where it is more than one, or the verdict.
  function selectedThing() {
    const around = document.getSelection().getRangeAt(0).commonAncestorContainer;
    const element = around.nodeType === Node.ELEMENT_NODE ? around : around.parentElement;
    const thing = element.closest("tr, li, p, pre, dd, dt, summary, h2");
    return thing && content.contains(thing) && !thing.closest("#verdict") ? thing : null;
  }

  function update(place, fresh) {
    stand = document.activeElement;
    patchChildren(place, fresh);
    if (stand.isConnected && stand !== document.activeElement) stand.focus({ preventScroll: true });
    addCopyButtons(place);
    tellFindings();
  }

  // Beside the doctor's stop, once it has looked.
  function tellFindings() {
    const stop = document.querySelector("#stop-doctor a"), place = findings();
    const count = place ? place.querySelectorAll(".findings > li").length : 0;
    if (!stop || !count) return;
    const shown = stop.querySelector(".count") || stop.appendChild(document.createElement("span"));
    shown.className = "count";
    shown.textContent = " " + count;
  }

  // A page that is not updated must never look as if all were well.
  function tellAge() {
    const age = since(known);
    const isStale = paused || !refreshes || !(age <= 3 * every);
    body.classList.add("was-live");
    body.classList.toggle("is-stale", isStale && refreshes);
    stale.hidden = !isStale || !refreshes;
    live.textContent = paused ? "paused" : !refreshes ? "as of " + main().dataset.time : isStale ? "not live" : "live, " + Math.round(age / 1000) + " s";
    live.classList.toggle("on", !isStale);
    const text = (paused ? "Paused: not" : "Not") + " updated; what is below may be wrong. " + problem;
    if (!stale.hidden && stale.textContent !== text) stale.textContent = text;
    const title = (isStale && refreshes ? "not known · " : "") + main().dataset.title;
    if (document.title !== title) document.title = title;
    const href = icon.dataset.icons + (isStale ? "unknown" : main().dataset.status) + ".svg";
    if (icon.getAttribute("href") !== href) icon.setAttribute("href", href);
  }

  async function refresh() {
    if (!refreshes || paused || asking || document.hidden) return;
    if (isSelecting(content) && !selectedThing()) {
      problem = "Text is selected.";
      return;
    }
    asking = true;
    const asked = now();
    try {
      const fresh = await fetchPart("content", 20000);
      // The same answer once more, from some cache, is no news.
      if (paused || fresh.querySelector("main").dataset.takenAt === main().dataset.takenAt) return;
      // Much may have happened while the server was asked.
      hold = isSelecting(content) ? selectedThing() : null;
      if (isSelecting(content) && !hold) return;
      update(content, fresh);
      known = before(asked, main());
      problem = "";
    } catch (error) {
      problem = error.message;
    } finally {
      asking = false;
      tellAge();
    }
  }

  async function look() {
    const place = findings();
    if (!place || paused || document.hidden || isSelecting(place) || (looked !== null && since(looked) < findingsEvery)) return;
    looked = now();
    try {
      const fresh = await fetchPart("doctor", 60000);
      hold = null;
      if (!isSelecting(place)) update(place, fresh);
    } catch (error) {
      place.textContent = "The findings are not known. " + error.message;
    }
  }

  function addCopyButtons(place) {
    const sources = "code.command, pre.copied";
    for (const button of place.querySelectorAll("button.copy")) {
      const source = button.previousElementSibling;
      if (!source || !source.matches(sources)) button.remove();
    }
    for (const source of place.querySelectorAll(sources)) {
      const text = source.textContent, next = source.nextElementSibling;
      const button = next && isCopy(next) ? next : source.parentNode.insertBefore(document.createElement("button"), source.nextSibling);
      if (button.dataset.of === text) continue;
      button.dataset.of = text;
      button.type = "button";
      button.className = "copy";
      button.textContent = "Copy";
      button.setAttribute("aria-label", "Copy " + text.slice(0, 80));
    }
  }

  async function copy(source) {
    // Only over https, or on this machine.
    if (navigator.clipboard) return navigator.clipboard.writeText(source.textContent);
    document.getSelection().selectAllChildren(source);
    const isCopied = document.execCommand("copy");
    document.getSelection().removeAllRanges();
    if (!isCopied) throw new Error("not copied");
  }

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button.copy");
    if (!button) return;
    let says = "Copied";
    try {
      await copy(button.previousElementSibling);
    } catch (error) {
      says = "Not copied: select it";
    }
    button.textContent = says;
    button.setAttribute("aria-label", says);
    setTimeout(() => {
      delete button.dataset.of;
      addCopyButtons(button.parentNode);
    }, 2000);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.nodeName)) return;
    event.preventDefault();
    document.getElementById("q").focus();
  });
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", String(paused));
    pause.textContent = paused ? "Go on" : "Pause";
    tellAge();
    refresh();
  });
  document.addEventListener("visibilitychange", () => { tellAge(); refresh(); look(); });
  // Out of the browser's memory of pages, it is what it was.
  window.addEventListener("pageshow", (event) => { if (event.persisted) { tellAge(); refresh(); } });
  pause.hidden = !refreshes;
  if (findings() && findings().dataset.kept === "fresh") looked = now();
  addCopyButtons(content);
  setInterval(tellAge, 1000);
  setInterval(() => { refresh(); look(); }, every);
  look();
  tellAge();
})();
