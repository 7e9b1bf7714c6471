// cluster_half.js - the worker half of the classic Node cluster example, on the socket it was given instead of a port.
//   usage: node cluster_half.js RECORD
'use strict';

const fs = require('fs');
const http = require('http');

const record = process.argv[2];
const write = (event) => fs.appendFileSync(record, JSON.stringify({ event, pid: process.pid }) + '\n');

const server = http.createServer((request, response) => {
    response.setHeader('X-Generation', process.env.RELOADER_GENERATION);
    response.end('hello from ' + process.pid + '\n');
});

function fullyClosed() {
    write('fully_closed');
    process.send('fully_closed');
}

process.on('message', (message) => {
    write(message);
    if (message !== 'graceful_shutdown')
        return;
    const timer = setTimeout(fullyClosed, 5000);
    server.close(() => {
        clearTimeout(timer);
        fullyClosed();
    });
});

server.listen({ fd: 3 }, () => process.send('ready'));
