// What takes rows of tickets and of the bridge's log into a workspace, and shows them: the data collection rule, and the
// workbook.
//
// Sources: Microsoft Learn, "Structure of a data collection rule" and "Logs Ingestion API" (kind Direct: the rule has an
// address of its own, without a data collection endpoint), "Manage Azure Monitor workbooks with templates".

targetScope = 'resourceGroup'

@description('Region of the workspace, and so of the rule.')
param location string

@description('End of every name, as in main.bicep.')
param token string

@description('Resource id of the workspace; its tables exist.')
param workspaceId string

@description('Name of the data collection rule.')
param ruleName string

var schema = loadJsonContent('../export/tables.json')
var ticketsStream = 'Custom-ServiceDesk_CL'
var logStream = 'Custom-ServiceDeskLog_CL'
var workbookText = loadTextContent('../export/workbook.json')

resource rule 'Microsoft.Insights/dataCollectionRules@2024-03-11' = {
  name: ruleName
  location: location
  kind: 'Direct'
  properties: {
    description: 'Tickets and the log of the Azure ITSM Bridge.'
    streamDeclarations: {
      '${ticketsStream}': {
        columns: schema.streams[ticketsStream]
      }
      '${logStream}': {
        columns: schema.streams[logStream]
      }
    }
    destinations: {
      logAnalytics: [
        {
          name: 'workspace'
          workspaceResourceId: workspaceId
        }
      ]
    }
    dataFlows: [
      {
        streams: [
          ticketsStream
        ]
        destinations: [
          'workspace'
        ]
        transformKql: 'source'
        outputStream: ticketsStream
      }
      {
        streams: [
          logStream
        ]
        destinations: [
          'workspace'
        ]
        transformKql: 'source'
        outputStream: logStream
      }
    ]
  }
}

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(resourceGroup().id, 'azure-itsm-bridge', token)
  location: location
  kind: 'shared'
  properties: {
    displayName: 'Azure ITSM Bridge'
    category: 'workbook'
    version: 'Notebook/1.0'
    sourceId: workspaceId
    serializedData: replace(replace(workbookText, '__WORKSPACE__', workspaceId), '__PORTAL__', environment().portal)
  }
}

@description('Setting LOGS_INGESTION_ENDPOINT.')
output endpoint string = rule.properties.endpoints.logsIngestion

@description('Setting LOGS_INGESTION_RULE.')
output immutableId string = rule.properties.immutableId

@description('Resource id of the workbook.')
output workbookId string = workbook.id
