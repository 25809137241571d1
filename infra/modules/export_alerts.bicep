// Who watches the export: two alert rules on what the bridge says of itself in the workspace.
//
// Source: Microsoft Learn, "Create or edit a log search alert rule" (windows of up to two days, dimensions).

targetScope = 'resourceGroup'

@description('Region of the workspace.')
param location string

@description('End of every name, as in main.bicep.')
param token string

@description('Resource id of the workspace; its tables exist.')
param workspaceId string

@description('Minutes after which the export is late.')
param lagMinutes int

@description('Resource ids of action groups that are told. Empty: the alerts are in the list of Azure Monitor alone.')
param actionGroupIds string[]

var lateExport = replace(loadTextContent('../export/alerts/export_lag.kql'), '{ThresholdMinutes}', string(lagMinutes))
var parkedItems = loadTextContent('../export/alerts/parked.kql')

resource lag 'Microsoft.Insights/scheduledQueryRules@2026-03-01' = {
  name: 'alert-bridge-export-lag-${token}'
  location: location
  kind: 'LogAlert'
  properties: {
    displayName: 'The export of tickets is late'
    description: 'The dimension Connection says whose: docs/log-analytics.md, Alert rules.'
    severity: 2
    enabled: true
    scopes: [
      workspaceId
    ]
    evaluationFrequency: 'PT15M'
    // The newest row of an export that stopped lies in it for so long.
    windowSize: 'P2D'
    autoMitigate: true
    skipQueryValidation: true
    criteria: {
      allOf: [
        {
          query: lateExport
          timeAggregation: 'Count'
          operator: 'GreaterThan'
          threshold: 0
          // One alert for each connection.
          dimensions: [
            {
              name: 'Connection'
              operator: 'Include'
              values: [
                '*'
              ]
            }
          ]
          failingPeriods: {
            numberOfEvaluationPeriods: 1
            minFailingPeriodsToAlert: 1
          }
        }
      ]
    }
    actions: {
      actionGroups: actionGroupIds
    }
  }
}

resource parked 'Microsoft.Insights/scheduledQueryRules@2026-03-01' = {
  name: 'alert-bridge-parked-${token}'
  location: location
  kind: 'LogAlert'
  properties: {
    displayName: 'The bridge could not deliver or read signals'
    description: 'Dead letters or quarantined payloads in the last hour: docs/log-analytics.md, Alert rules.'
    severity: 2
    enabled: true
    scopes: [
      workspaceId
    ]
    evaluationFrequency: 'PT15M'
    windowSize: 'PT1H'
    autoMitigate: true
    skipQueryValidation: true
    criteria: {
      allOf: [
        {
          query: parkedItems
          timeAggregation: 'Count'
          operator: 'GreaterThan'
          threshold: 0
          failingPeriods: {
            numberOfEvaluationPeriods: 1
            minFailingPeriodsToAlert: 1
          }
        }
      ]
    }
    actions: {
      actionGroups: actionGroupIds
    }
  }
}
