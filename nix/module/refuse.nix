# An assertion of what no type can say. The message names the option, the reason and the fix.
condition: message: {
  assertion = !condition;
  inherit message;
}
