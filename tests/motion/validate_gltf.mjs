// Khronos glTF validator over files: node validate_gltf.mjs <folder with node_modules> <file.glb>…
// Prints one JSON line per file: {"file", "errors", "warnings", "infos", "hints", "messages"}.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { resolve } from "node:path";

const [folder, ...files] = process.argv.slice(2);
const validator = createRequire(resolve(folder, "package.json"))("gltf-validator");

for (const file of files) {
  const report = await validator.validateBytes(new Uint8Array(readFileSync(file)), { maxIssues: 0 });
  const { numErrors, numWarnings, numInfos, numHints, messages } = report.issues;
  console.log(
    JSON.stringify({ file, errors: numErrors, warnings: numWarnings, infos: numInfos, hints: numHints, messages }),
  );
}
