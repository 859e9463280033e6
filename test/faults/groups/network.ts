// On the way to the server: addresses, proxies, certificates, and servers that are none of ours.

import type { FaultGroup } from "../fault.ts";
import {
  freePort,
  startGreeter,
  startRefusingProxy,
  startTlsServer,
  startWebServer,
} from "../listeners.ts";
import type { Scene } from "../scene.ts";

const viaProxy = "HTTPS_PROXY=http://127.0.0.1:<proxy port> jitdb login https://jitdb.example.com";

export const network: FaultGroup = {
  title: "The way to the server",
  faults: [
    {
      condition: "a server that is not running",
      arrange: async (scene) => nameServer(scene, await freePort()),
      command: "jitdb login <server>",
      stderr: [
        "error: Can't reach <server>: nothing listens there.",
        "hint: Check the address, your network and HTTPS_PROXY, then run the same command again.",
      ],
      exit: 7,
    },
    {
      condition: "https:// for a server that speaks plain HTTP",
      arrange: async (scene) => {
        scene.name("port", await startWebServer(scene, (_request, response) => response.end()));
      },
      command: "jitdb login https://127.0.0.1:<port>",
      stderr: [
        "error: Can't reach https://127.0.0.1:<port>: it does not speak TLS.",
        "hint: Check the address, your network and HTTPS_PROXY, then run the same command again.",
      ],
      exit: 7,
    },
    {
      condition: "a certificate that no known authority signed",
      arrange: async (scene) => scene.name("port", await startTlsServer(scene)),
      command: "jitdb login https://127.0.0.1:<port>",
      stderr: [
        "error: The certificate of https://127.0.0.1:<port> can't be trusted: DEPTH_ZERO_SELF_SIGNED_CERT.",
        "hint: Pass the company's CA with NODE_EXTRA_CA_CERTS or `--ca`.",
      ],
      exit: 7,
    },
    {
      condition: "a CA file that is not there",
      command: "jitdb login https://jitdb.example.com --ca company.pem",
      stderr: [
        "error: Can't use the CA file company.pem.",
        "hint: Give a PEM file with --ca or JITDB_CA_FILE.",
      ],
      exit: 2,
    },
    {
      condition: "a proxy that is not there",
      arrange: async (scene) => scene.name("proxy port", await freePort()),
      command: viaProxy,
      stderr: [
        "error: Can't reach the proxy 127.0.0.1:<proxy port>: nothing listens there.",
        "hint: Check the address, your network and HTTPS_PROXY, then run the same command again.",
      ],
      exit: 7,
    },
    {
      condition: "a proxy that refuses",
      arrange: async (scene) => {
        scene.name("proxy port", await startRefusingProxy(scene, "403 Forbidden"));
      },
      command: viaProxy,
      stderr: [
        "error: The proxy 127.0.0.1:<proxy port> refuses to connect to jitdb.example.com:443 (403).",
        "hint: Ask whoever runs the proxy to allow it, or go around the proxy: put the host into NO_PROXY.",
      ],
      exit: 7,
    },
    {
      condition: "a proxy that wants a password",
      arrange: async (scene) => {
        const status = "407 Proxy Authentication Required";
        scene.name("proxy port", await startRefusingProxy(scene, status));
      },
      command: viaProxy,
      stderr: [
        "error: The proxy 127.0.0.1:<proxy port> refuses to connect to jitdb.example.com:443 (407).",
        "hint: Put user and password into HTTPS_PROXY: http://user:password@host:port.",
      ],
      exit: 7,
    },
    {
      condition: "a web server that is no jitdb server",
      arrange: async (scene) => {
        const port = await startWebServer(scene, (_request, response) => {
          response.writeHead(404, { "content-type": "text/html" }).end("<h1>Not found</h1>");
        });
        nameServer(scene, port);
      },
      command: "jitdb login <server>",
      stderr: [
        "error: <server> is no jitdb server.",
        "hint: Check that the address is that of a jitdb server of the same major version.",
      ],
      exit: 7,
    },
    {
      condition: "a web server that answers everything with a page",
      arrange: async (scene) => {
        const port = await startWebServer(scene, (_request, response) => {
          response.writeHead(200, { "content-type": "text/html" }).end("<h1>Welcome</h1>");
        });
        nameServer(scene, port);
      },
      command: "jitdb login <server>",
      stderr: [
        "error: <server> does not answer as a jitdb server would.",
        "hint: Check that the address is that of a jitdb server of the same major version.",
      ],
      exit: 7,
    },
    {
      condition: "something at the address that speaks no HTTP",
      arrange: async (scene) => nameServer(scene, await startGreeter(scene, "SSH-2.0-OpenSSH\r\n")),
      command: "jitdb login <server>",
      stderr: [
        "error: <server> does not speak HTTP.",
        "hint: Check that the address is that of a jitdb server of the same major version.",
      ],
      exit: 7,
    },
  ],
};

function nameServer(scene: Scene, port: number): void {
  scene.name("server", `http://127.0.0.1:${port}`);
}
