// @a2a-js/sdk's client, led step by step as python_client.py is: the same order, steps and lines. 1.3.0 speaks A2A 1.0
// and 0.3.11 speaks 0.3; "version" in the order says which it is.
import { createInterface } from "node:readline";
import * as sdk from "@a2a-js/sdk";
import { ClientFactory, DefaultAgentCardResolver, JsonRpcTransportFactory, RestTransportFactory } from "@a2a-js/sdk/client";

const order = JSON.parse(process.argv[2]);
const isOld = order.version === "0.3";
const fetchImpl = (url, init) => {
  const headers = new Headers(init?.headers);
  for (const [name, value] of Object.entries(order.headers)) headers.set(name, value);
  return fetch(url, { ...init, headers });
};
const Transport = order.binding === "JSONRPC" ? JsonRpcTransportFactory : RestTransportFactory;
const cardResolver = new DefaultAgentCardResolver({ fetchImpl });
const card = await cardResolver.resolve(order.url);
const factory = new ClientFactory({ transports: [new Transport({ fetchImpl })], cardResolver });
const client = await factory.createFromAgentCard(card);

const asJson = (task) => (isOld ? task : sdk.Task.toJSON(task));

function request(step) {
  const more = { contextId: step.context_id, taskId: step.task_id };
  if (isOld) {
    const parts = [{ kind: "text", text: step.text }];
    const message = { kind: "message", messageId: step.message_id, role: "user", parts, ...more };
    return { message, configuration: { blocking: Boolean(step.waits) } };
  }
  const message = { messageId: step.message_id, role: "ROLE_USER", parts: [{ text: step.text }], ...more };
  return sdk.SendMessageRequest.fromJSON({ message, configuration: { returnImmediately: !step.waits } });
}

async function carriedOut(step) {
  switch (step.do) {
    case "card":
      return isOld ? card : sdk.AgentCard.toJSON(card);
    case "send":
      return asJson(await client.sendMessage(request(step)));
    case "get":
      return asJson(await client.getTask(isOld ? { id: step.id } : sdk.GetTaskRequest.fromJSON({ id: step.id })));
    case "list": {
      const wanted = sdk.ListTasksRequest.fromJSON({ contextId: step.context_id, includeArtifacts: true });
      return sdk.ListTasksResponse.toJSON(await client.listTasks(wanted));
    }
    case "cancel":
      return asJson(await client.cancelTask(isOld ? { id: step.id } : sdk.CancelTaskRequest.fromJSON({ id: step.id })));
  }
  throw new Error(`no such step: ${step.do}`);
}

for await (const line of createInterface({ input: process.stdin })) {
  let said;
  try {
    said = { result: await carriedOut(JSON.parse(line)) };
  } catch (error) {
    said = { error: { name: error.constructor.name, message: String(error.message) } };
  }
  process.stdout.write(JSON.stringify(said) + "\n");
}
