// The roles of one principal on the storage account and on the vault, and nowhere else.
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

resource storage 'Microsoft.Storage/storageAccounts@2025-06-01' existing = {
  name: storageAccountName
}

resource vault 'Microsoft.KeyVault/vaults@2025-05-01' existing = {
  name: vaultName
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
