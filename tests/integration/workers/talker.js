// talker.py in Node's own words.
'use strict';
const generation = Number(process.env.RELOADER_GENERATION);
process.on('message', (message) => {
  if (message === 'graceful_shutdown') process.send('fully_closed');
  else process.send({ cmd: 'echo', got: message, generation });
});
if (process.argv.includes('--own-status')) process.send({ cmd: 'status' });
process.send('ready');
