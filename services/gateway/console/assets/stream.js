// A browser opens six connections to a host, over HTTP/1.1, and a stream holds one for as
// long as it lives. So the tabs of a browser that listen to the same stream share it: one
// of those that are seen opens it, and passes on what it hears. A tab that nobody sees
// lets go, and when it is seen again it is told what it has missed. When so many streams
// are open that pages would wait for a connection, a tab looks again every few seconds.

const most = 4; // streams that a browser has open
const between = 5000; // ms from one look to the next, where no stream is to be had

const sequence = (place) => Number(place.split("-").pop());

// Locks are for pages that came by https or from this machine. On others each tab that is
// seen has a stream of its own.
const locks = navigator.locks ?? { request: (_name, _options, held) => held({}) };

// follow listens to the stream at url while the tab is seen, and tells of it:
//   said(state)      it is "open", "lost", or there is none and it is "looking"
//   heard(revision)  something has happened, "" when it is not known what, or whether
//   renewed()        it was refused: resolves to the url of one that may not be, or to ""
export function follow(url, { said, heard, renewed }) {
  const { pathname: topic, searchParams } = new URL(url, location.href);
  let place = searchParams.get("after") ?? ""; // up to where the page shows, or has heard of, everything
  let leave = null; // ends the listening; null while there is none

  function take(message) {
    if (message.state === "open" && sequence(message.place) > sequence(place)) {
      heard(""); // in what came before it listened
    }
    if (sequence(message.place) > sequence(place) || !place) {
      place = message.place;
    }
    if (message.state) {
      said(message.state);
    }
    if (message.revision !== undefined) {
      heard(message.revision);
    }
  }

  function join() {
    if (leave) {
      return;
    }
    leave = new AbortController();
    const { signal } = leave;
    const channel = new BroadcastChannel("orderflow " + topic);
    signal.addEventListener("abort", () => channel.close());
    let state = ""; // of the stream, in the tab that holds it
    const tell = (message) => {
      if (!signal.aborted) {
        state = message.state ?? state;
        channel.postMessage({ ...message, place });
        take({ ...message, place });
      }
    };
    channel.onmessage = ({ data }) => {
      if (!data.asks) {
        take(data);
      } else if (state) {
        channel.postMessage({ state, place });
      }
    };
    channel.postMessage({ asks: true });
    locks.request("orderflow " + topic, { signal }, () => hold(signal, tell)).catch(() => {}); // it was let go before it was had
  }

  async function hold(signal, tell) {
    while (!signal.aborted) {
      if (!(await withStream(() => listen(signal, tell)))) {
        tell({ state: "looking", revision: "" });
        await new Promise((done) => {
          setTimeout(done, between);
          signal.addEventListener("abort", done);
        });
      }
    }
  }

  function listen(signal, tell) {
    return new Promise((done) => {
      let source = null;
      let later = 0;
      const open = () => {
        source = new EventSource(place ? topic + "?after=" + place : topic);
        source.onopen = () => tell({ state: "open" });
        source.onerror = () => {
          tell({ state: "lost" });
          if (source.readyState === EventSource.CLOSED) {
            again(); // it was refused, and does not come back by itself
          }
        };
        source.onmessage = (message) => {
          const event = JSON.parse(message.data);
          place = message.lastEventId || place;
          tell({ revision: event.version + "-" + sequence(event.position) });
        };
      };
      const again = () => {
        later = setTimeout(async () => {
          const fresh = await renewed();
          if (signal.aborted) {
            return;
          }
          if (!fresh) {
            again();
            return;
          }
          // What was heard of before may be too far back, or in another store.
          place = new URL(fresh, location.href).searchParams.get("after") ?? "";
          open();
        }, 2000 + 8000 * Math.random()); // not all browsers at the same time
      };
      const end = () => {
        clearTimeout(later);
        source?.close();
        done();
      };
      signal.addEventListener("abort", end);
      if (signal.aborted) {
        end();
      } else {
        open();
      }
    });
  }

  const look = () => {
    if (document.visibilityState === "visible") {
      join();
    } else {
      leave?.abort();
      leave = null;
    }
  };
  document.addEventListener("visibilitychange", look);
  addEventListener("pagehide", () => {
    leave?.abort();
    leave = null;
  });
  addEventListener("pageshow", look); // a page that comes back is as it was left
  look();
}

// withStream does its work with one of the streams that a browser may have open; it
// resolves to false when all of them are taken.
async function withStream(work) {
  for (let i = 0; i < most; i++) {
    const had = await locks.request("orderflow stream " + i, { ifAvailable: true }, async (lock) => {
      if (lock) {
        await work();
      }
      return lock !== null;
    });
    if (had) {
      return true;
    }
  }
  return false;
}
