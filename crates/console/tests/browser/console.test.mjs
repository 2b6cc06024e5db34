// The console in a real browser, over real programs. Each part goes on where the one before ended: one
// process, one stage, in this order.

import "./stage.mjs";
import "./story.mjs";
import "./pages.mjs";
import "./rules.mjs";
import "./sessions.mjs";
import "./hostile.mjs";
import "./scale.mjs";
