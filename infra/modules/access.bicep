// The roles of one principal on the storage account, on the vault and on the data collection rule, and nowhere else.
//
// A module, because the name of an assignment must hold the principal: an identity made anew under the old name is
// another principal, and Azure refuses to change that of an existing assignment. Only a parameter is known in time.

@description('Object id of a managed identity, user or group.')
param principalId string

@description('What the principal is. Said, because Azure may not find a new identity yet when it looks.')
@allowed(['User', 'Group', 'ServicePrincipal'])
param principalType string

@description('Storage account in this resource group.')
param storageAccountName string

@description('Ids of built-in roles on the storage account.')
param storageRoles string[]

@description('Key vault in this resource group.')
param vaultName string

@description('Ids of built-in roles on the vault.')
param vaultRoles string[]

@description('Data collection rule in this resource group; empty where there are no roles on one.')
param ruleName string

@description('Ids of built-in roles on the rule.')
param ruleRoles string[]

resource storage 'Microsoft.Storage/storageAccounts@2025-06-01' existing = {
  name: storageAccountName
}

resource vault 'Microsoft.KeyVault/vaults@2025-05-01' existing = {
  name: vaultName
}

resource rule 'Microsoft.Insights/dataCollectionRules@2024-03-11' existing = if (!empty(ruleName)) {
  name: ruleName
}

resource onStorage 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for role in storageRoles: {
  name: guid(storage.id, principalId, role)
  scope: storage
  properties: {
    principalId: principalId
    principalType: principalType
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role)
  }
}]

resource onVault 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for role in vaultRoles: {
  name: guid(vault.id, principalId, role)
  scope: vault
  properties: {
    principalId: principalId
    principalType: principalType
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role)
  }
}]

resource onRule 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for role in ruleRoles: {
  name: guid(rule.id, principalId, role)
  scope: rule
  properties: {
    principalId: principalId
    principalType: principalType
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role)
  }
}]
