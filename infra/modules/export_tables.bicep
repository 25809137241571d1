// The tables of exported tickets and of the bridge's log, and the saved functions on them: in a workspace of this resource
// group, which may be another than that of the bridge.
//
// A table that Microsoft's ITSM Connector made is a classic one; it must be migrated first (docs/log-analytics.md).
//
// Sources: Microsoft Learn, "Create a custom table" and "Manage data retention in a Log Analytics workspace" (a table's
// plan and retention), "Functions in Azure Monitor log queries".

targetScope = 'resourceGroup'

@description('Name of the workspace in this resource group.')
param workspaceName string

@description('Days that rows are kept, for queries. More than 31 cost extra.')
param retentionDays int

var schema = loadJsonContent('../export/tables.json')

// In the order in which they need each other.
var functions = [
  {
    name: 'ServiceDeskChanges'
    query: loadTextContent('../export/functions/ServiceDeskChanges.kql')
  }
  {
    name: 'ServiceDeskTickets'
    query: loadTextContent('../export/functions/ServiceDeskTickets.kql')
  }
  {
    name: 'ServiceDeskOpenTickets'
    query: loadTextContent('../export/functions/ServiceDeskOpenTickets.kql')
  }
  {
    name: 'ServiceDeskActions'
    query: loadTextContent('../export/functions/ServiceDeskActions.kql')
  }
  {
    name: 'ServiceDeskAlertTickets'
    query: loadTextContent('../export/functions/ServiceDeskAlertTickets.kql')
  }
]

resource workspace 'Microsoft.OperationalInsights/workspaces@2025-07-01' existing = {
  name: workspaceName
}

// One after the other: changes of one workspace at the same time may conflict.
@batchSize(1)
resource tables 'Microsoft.OperationalInsights/workspaces/tables@2025-07-01' = [for table in items(schema.tables): {
  parent: workspace
  name: table.key
  properties: {
    plan: 'Analytics'
    retentionInDays: retentionDays
    totalRetentionInDays: retentionDays
    schema: {
      name: table.key
      columns: table.value
    }
  }
}]

@batchSize(1)
resource saved 'Microsoft.OperationalInsights/workspaces/savedSearches@2025-07-01' = [for function in functions: {
  parent: workspace
  name: toLower(function.name)
  // Without it, a second deployment is refused: the function exists.
  etag: '*'
  properties: {
    category: 'Azure ITSM Bridge'
    displayName: function.name
    functionAlias: function.name
    query: function.query
    version: 2
  }
  dependsOn: [
    tables
  ]
}]

@description('Region of the workspace: a data collection rule must be in the same.')
output location string = workspace.location
