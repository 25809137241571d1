// What the bridge may do in one subscription whose alerts and recommendations it follows: a role of its own with the
// least that works, and its assignment. Deploy it once per subscription:
//
//   az deployment sub create --location westeurope --template-file infra/sources.bicep \
//     --parameters principalId=IDENTITY-PRINCIPAL-ID
//
// Source: Microsoft's list of permissions (learn.microsoft.com/azure/role-based-access-control/permissions), one line each
// for what docs/reconcile.md, docs/resync.md, docs/rows.md, docs/defender-poll.md and docs/assignments.md describe. Azure
// refuses a custom role with an action that no published one matches; tests/infra/published_operations.json has those of
// the types named here.

targetScope = 'subscription'

@description('Object id of the identity of the app: the output identityPrincipalId of main.bicep.')
param principalId string

@description('Whether the bridge may query logs in the subscription, for the rows of log alerts (docs/rows.md).')
param queriesLogs bool = false

@description('Whether the bridge may tell Azure: the state of alerts, and governance assignments. false: it only reads.')
param tellsAzure bool = true

var reads = [
  'Microsoft.Authorization/permissions/read'
  'Microsoft.Resources/subscriptions/read'
  'Microsoft.Resources/subscriptions/resourceGroups/read'
  'Microsoft.AlertsManagement/alerts/read'
  'Microsoft.ResourceHealth/availabilityStatuses/read'
  'Microsoft.ResourceGraph/resources/read'
  'Microsoft.Security/assessments/read'
  'Microsoft.Security/assessments/subAssessments/read'
  'Microsoft.Security/assessments/governanceAssignments/read'
  'Microsoft.Security/alerts/read'
]

// The list has read and write of governance assignments, and no delete: Azure refuses a role that names it. A wildcard
// allows it all the same, and goes no further than these assignments.
var writes = [
  'Microsoft.AlertsManagement/alerts/changestate/action'
  'Microsoft.Security/assessments/governanceAssignments/*'
]

// Only queries, of any table: in workspaces, and of the logs of resources. What Log Analytics Reader has beyond them (all
// other reads of the subscription) is not needed.
var queries = [
  'Microsoft.OperationalInsights/workspaces/query/read'
  'Microsoft.OperationalInsights/workspaces/query/*/read'
  'Microsoft.Insights/logs/*/read'
]

resource role 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(subscription().id, 'azure-itsm-bridge')
  properties: {
    roleName: 'Azure ITSM Bridge (${subscription().subscriptionId})'
    description: 'Reads alerts and recommendations, and tells them of their tickets.'
    type: 'CustomRole'
    permissions: [
      {
        actions: concat(reads, tellsAzure ? writes : [], queriesLogs ? queries : [])
        notActions: []
      }
    ]
    assignableScopes: [
      subscription().id
    ]
  }
}

resource assignment 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(subscription().id, principalId, role.id)
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: role.id
  }
}
