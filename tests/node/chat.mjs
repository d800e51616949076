// Chats once whole and once as a stream with the official client, and prints both texts.
// usage: node chat.mjs BASE_URL KEY MODEL
import { createRequire } from "node:module";

// The package lies in the per-machine cache that NODE_PATH names; ES imports do not look there.
const OpenAI = createRequire(process.env.NODE_PATH + "/")("openai").default;

const [baseURL, apiKey, model] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const request = { model, temperature: 0, max_tokens: 24, messages: [{ role: "user", content: "Name the capital of France." }] };

const whole = (await client.chat.completions.create(request)).choices[0].message.content;
let streamed = "";
for await (const chunk of await client.chat.completions.create({ ...request, stream: true })) {
  streamed += chunk.choices[0]?.delta?.content ?? "";
}
console.log(JSON.stringify({ whole, streamed }));
