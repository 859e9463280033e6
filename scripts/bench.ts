// `npm run bench`: see bench/main.ts for its options.

import "../bench/main.ts";
