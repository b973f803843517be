import { start as dialogs } from "./dialogs.js";
import { start as history } from "./history.js";
import { start as live } from "./live.js";

dialogs();
history();
live();
