// Run an exported file with ONNX Runtime Web (WebAssembly), as a browser would, and compare with the alpha given.
//
//     npm install onnxruntime-web
//     python benchmarks/runtimes.py --web        # writes the file and inputs, calls this script, prints the table
//
// node web.mjs MODEL INPUT.f32 BATCH HEIGHT WIDTH OUTPUT.f32
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(pathToFileURL(process.cwd() + "/"));
const ort = require("onnxruntime-web");
const [model, input, batch, height, width, output] = process.argv.slice(2);
const session = await ort.InferenceSession.create(readFileSync(model), { executionProviders: ["wasm"] });
const values = new Float32Array(readFileSync(input).buffer.slice(0));
const shape = [Number(batch), 4, Number(height), Number(width)];
const found = await session.run({ image_trimap: new ort.Tensor("float32", values, shape) });
writeFileSync(output, Buffer.from(found.alpha.data.buffer));
