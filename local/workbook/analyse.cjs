// Parses and analyses Kusto queries with Microsoft's own language service, as the portal's editor does.
//
// Standard input: {"tables": {name: [[column, type], ...]}, "functions": {name: body}, "queries": {name: text}}.
// Standard output: {name: {"columns": of the answer, "remarks": [{"message", "severity", "at": the text that is meant}]}}.
"use strict";

const library = require.resolve("@kusto/language-service-next/bridge.min.js", { paths: [__dirname + "/.."] });
require(library);
require(require.resolve("@kusto/language-service-next/Kusto.Language.Bridge.min.js", { paths: [__dirname + "/.."] }));

const { GlobalState, KustoCode, Symbols } = Kusto.Language;

function schema(columns) {
  return "(" + columns.map(([name, type]) => `['${name}']: ${type}`).join(", ") + ")";
}

function listed(list) {
  return Array.from({ length: list.Count }, (_, index) => list.getItem(index));
}

function analysed(globals, text) {
  const code = KustoCode.ParseAndAnalyze(text, globals);
  const remarks = listed(code.GetDiagnostics()).map((one) => ({
    message: one.Message,
    severity: one.Severity,
    at: text.substr(one.Start, one.Length),
  }));
  const columns = code.ResultType && code.ResultType.Columns ? listed(code.ResultType.Columns).map((one) => one.Name) : [];
  return { columns, remarks };
}

const input = JSON.parse(require("fs").readFileSync(0, "utf-8"));
const tables = Object.entries(input.tables).map(([name, columns]) => new Symbols.TableSymbol.$ctor7(name, schema(columns), ""));
const functions = Object.entries(input.functions).map(([name, body]) => new Symbols.FunctionSymbol.$ctor16(name, "()", `{\n${body}\n}`, ""));
const database = new Symbols.DatabaseSymbol.ctor("logs", [...tables, ...functions]);
const globals = GlobalState.Default.WithDatabase(database);

const answers = Object.entries(input.queries).map(([name, text]) => [name, analysed(globals, text)]);
process.stdout.write(JSON.stringify(Object.fromEntries(answers)));
