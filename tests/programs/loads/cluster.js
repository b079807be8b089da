// A server with workers by node's cluster module: node cluster.js SOCKET WORKERS
const cluster = require("cluster");
const http = require("http");
const [socket, workers] = process.argv.slice(2);
if (cluster.isPrimary) {
  for (let i = 0; i < Number(workers); i++) cluster.fork();
} else {
  const table = Array.from({ length: 100000 }, (_, i) => ({ number: i, text: String(i).repeat(3) }));
  http.createServer((request, response) => {
    let total = 0;
    for (let i = 0; i < 300; i++) total += table[Math.floor(Math.random() * table.length)].text.length;
    response.end(JSON.stringify(table.slice(total % 1000, total % 1000 + 100)));
  }).listen(socket);
}
