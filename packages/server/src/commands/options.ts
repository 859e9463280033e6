// Options that several commands have.

import { Option } from "commander";
import { fileNames } from "../config/template.ts";

export function configOption(): Option {
  return new Option("--config <file>", "the configuration file").default(fileNames.config);
}
