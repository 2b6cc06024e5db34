// A receiver of webhooks that can be away, answer badly, and that remembers what it took.

import { createServer } from "node:http";

/** Takes deliveries at `port`, once it listens. */
export class Receiver {
  /** The ids of the events that it answered well; test deliveries are none. */
  taken = new Set();
  #server = null;
  #port;
  #answer = () => ({ status: 204 });

  constructor(port) {
    this.#port = port;
  }

  /** `{ status, headers, body }`, or a function that makes it of the event, at once or later. */
  answers(answer) {
    this.#answer = typeof answer === "function" ? answer : () => answer;
  }

  async listen() {
    this.#server = createServer((request, response) => {
      const chunks = [];
      request.on("data", (chunk) => chunks.push(chunk));
      request.on("end", () => void this.#take(request, Buffer.concat(chunks).toString(), response));
    });
    await new Promise((resolve) => this.#server.listen(this.#port, "127.0.0.1", resolve));
  }

  async #take(request, body, response) {
    const { status, headers = {}, body: text = "" } = await this.#answer(body);
    const isTest = request.headers["webhook-test"] !== undefined;
    if (status < 300 && !isTest) this.taken.add(request.headers["webhook-id"]);
    response.writeHead(status, headers).end(text);
  }

  /** From now on connections are refused. */
  async leave() {
    if (this.#server === null) return;
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
    this.#server = null;
  }
}
