// One torrent in WebTorrent: "done" is printed when everything is here and checked. Until SIGTERM.
// node webtorrent_peer.mjs NPM-FOLDER seed|download TORRENT FOLDER PORT secure|plain
import fs from 'node:fs'
import path from 'node:path'
import { pathToFileURL } from 'node:url'

const [home, role, torrent, folder, port, encryption] = process.argv.slice(2)
const entry = path.join(home, 'node_modules', 'webtorrent', 'index.js')
const { default: WebTorrent } = await import(pathToFileURL(entry))

const client = new WebTorrent({
  torrentPort: Number(port), dht: false, lsd: false, utPex: false, utp: false, natUpnp: false,
  natPmp: false, secure: encryption === 'secure'
})
client.on('error', error => { console.log(`error: ${error}`); process.exit(1) })
const source = torrent.startsWith('magnet:') ? torrent : fs.readFileSync(torrent)
client.add(source, { path: folder }, added => {
  added.on('warning', warning => console.log(`warning: ${warning}`))
  if (added.done) console.log('done')
  added.on('done', () => console.log('done'))
  added.on('wire', wire => console.log(`wire ${wire.remoteAddress}`))
})
console.log(role)
