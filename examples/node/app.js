// An HTTP server that reloader can replace while it serves: Node's own words, no library.
'use strict';
const http = require('node:http');

const { RELOADER_SLOT: slot, RELOADER_GENERATION: generation } = process.env;
const FAREWELL_MSEC = 200;
const FINISH_MSEC = 8000; // less than disconnect_timeout: leaving is our decision then, not the master's
let draining = false;

const server = http.createServer((request, response) => {
  response.setHeader('X-Worker', `slot=${slot} generation=${generation} pid=${process.pid}`);
  if (draining) response.setHeader('Connection', 'close');
  response.end('hello\n');
});

function say(word) {
  if (process.connected) process.send(word);
}

function close() {
  server.close(() => say('fully_closed')); // idle connections are closed by this, too
  // A kept connection becomes idle when its last answer is out, and would otherwise stay as long as its client likes.
  setInterval(() => server.closeIdleConnections(), 100).unref();
  setTimeout(() => server.closeAllConnections(), FINISH_MSEC).unref();
}

// An idle connection that is closed may have a request on its way. So answers say `Connection: close` for a moment
// before, and clients that use their connections leave by themselves.
function drain() {
  if (draining) return;
  draining = true;
  setTimeout(close, FAREWELL_MSEC);
}

process.on('message', (message) => {
  if (message === 'graceful_shutdown') drain();
});
process.on('disconnect', drain); // the master is gone for good

// Under reloader the first socket is fd 3; by itself, `node app.js` listens on a port.
server.listen(process.connected ? { fd: 3 } : { port: 8080, host: '127.0.0.1' }, () => say('ready'));
