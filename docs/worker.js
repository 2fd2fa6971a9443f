// Browsers start no workers for pages that were opened as files. There, run the search's script in a hidden frame.
if (location.protocol === "file:") {
  const inside = `
    postMessage = data => parent.postMessage(data, "*");
    importScripts = (...urls) => urls.reduce((before, url) => before.then(() => new Promise(done => {
      const script = document.createElement("script");
      script.src = url;
      script.onload = done;
      document.body.append(script);
    })), Promise.resolve());`;

  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      document.body.append(this.frame);
      this.inner = this.frame.contentWindow;
      window.addEventListener("message", event => {
        if (event.source !== this.inner) return;
        const answer = new MessageEvent("message", { data: event.data });
        this.dispatchEvent(answer);
        if (this.onmessage) this.onmessage(answer);
      });
      const page = this.inner.document;
      page.open();
      page.write(`<body><script>${inside}<\/script><script src="${url}"><\/script></body>`);
      page.close();
      this.loaded = new Promise(done => this.inner.addEventListener("load", done));
    }

    postMessage(data) {
      this.loaded.then(() => this.inner.dispatchEvent(new MessageEvent("message", { data: structuredClone(data) })));
    }

    terminate() {
      this.frame.remove();
    }
  };
}
