// The right to write one secret: the refresh token of a connection to which a person consented.
//
// The app replaces it where the instance does, and moves its end where use moves it. It may write no other secret, and a
// secret that does not exist cannot be the scope of a role: 'bridge.py connect' comes first.

@description('Object id of the identity of the app.')
param principalId string

@description('Key vault in this resource group.')
param vaultName string

@description('Name of the secret, as refresh_token in bridge.yaml names it. It exists.')
param consentName string

@description('Id of the built-in role.')
param role string

resource vault 'Microsoft.KeyVault/vaults@2025-05-01' existing = {
  name: vaultName
}

resource consent 'Microsoft.KeyVault/vaults/secrets@2025-05-01' existing = {
  parent: vault
  name: consentName
}

resource onConsent 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(consent.id, principalId, role)
  scope: consent
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role)
  }
}
