// Nodes of npm's bittorrent-dht, one a port from PORT on, on the host's ADDRESS. Prints "ready" when
// all are, "peer HOST:PORT" for each that a lookup finds, "done N" when it or an announcement of
// port 4242 ends, having reached N nodes. Until SIGTERM.
// node npm_dht.mjs NPM-FOLDER ADDRESS PORT COUNT BOOTSTRAP|- [lookup|announce HASH]
import path from 'node:path'
import { pathToFileURL } from 'node:url'

const [home, address, port, count, bootstrap, order, hash] = process.argv.slice(2)
const entry = path.join(home, 'node_modules', 'bittorrent-dht', 'index.js')
const loaded = await import(pathToFileURL(entry))
const DHT = loaded.Client ?? loaded.default

const nodes = []
for (let i = 0; i < Number(count); i++) {
  const known = bootstrap !== '-' ? [bootstrap] : i > 0 ? [`${address}:${port}`] : []
  const node = new DHT({ bootstrap: known.length ? known : false })
  node.on('error', error => { console.log(`error: ${error}`); process.exit(1) })
  nodes.push(node)
  await new Promise(resolve => node.listen(Number(port) + i, address, resolve))
  if (known.length) await new Promise(resolve => node.ready ? resolve() : node.once('ready', resolve))
}
console.log('ready')
const one = nodes[0]
one.on('peer', peer => console.log(`peer ${peer.host}:${peer.port}`))
const ended = (error, reached) => console.log(error ? `failed: ${error}` : `done ${reached}`)
if (order === 'lookup') one.lookup(hash, ended)
if (order === 'announce') one.announce(hash, 4242, ended)
