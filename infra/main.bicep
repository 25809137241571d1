// Azure ITSM Bridge in one resource group: the function app and all that it needs.
//
// The app holds no key to anything: storage takes no shared key, secrets are in Key Vault, and both are reached with a
// managed identity. It is one of its own (user-assigned), so that its roles are there before the app first starts, and
// stay when the app is made anew.
//
// Source: Microsoft's Bicep reference and "Automate resource deployment for your function app in Azure Functions".

targetScope = 'resourceGroup'

import { SmsReceiver } from 'modules/watch.bicep'

@description('Region of everything. Which offer this plan: az functionapp list-flexconsumption-locations')
param location string = resourceGroup().location

@description('End of every name, where the default is taken: lower-case letters and digits.')
@minLength(3)
@maxLength(13)
param token string = uniqueString(resourceGroup().id)

@description('Address of the ServiceNow instance, for example https://contoso.service-now.com')
param serviceNowUrl string

@description('User ID of the bridge in ServiceNow, as bridge.yaml uses it for basic authentication.')
param serviceNowUsername string = 'azure.bridge'

@description('Further settings that your bridge.yaml names as \${NAME}. No secrets: those go into the vault.')
param extraSettings object = {}

@description('Object id of the user or group that sets secrets and replays dead letters. Empty: nobody.')
param operatorId string = ''

@description('Secrets with refresh tokens that the app may write: refresh_token of each connection. Run bridge.py connect before.')
param consents string[] = []

@description('What operatorId is.')
@allowed(['User', 'Group', 'ServicePrincipal'])
param operatorType string = 'User'

@description('Memory of an instance in MB, which is billed by the second. A worker of the bridge takes about 110.')
@allowed([512, 2048, 4096])
param instanceMemory int = 512

@description('Python of the app.')
@allowed(['3.11', '3.12', '3.13'])
param pythonVersion string = '3.13'

@description('At most so many instances for each group of functions; regions that know no fewer than 40 refuse less.')
@minValue(1)
@maxValue(1000)
param maximumInstances int = 40

@description('Instances kept warm for webhooks. 0 costs nothing while idle; 1 spares an alert the cold start.')
@minValue(0)
@maxValue(20)
param alwaysReadyInstances int = 0

@description('Instances kept warm for delivery. 0 costs nothing while idle; 1 spares a ticket up to two minutes of waiting.')
@minValue(0)
@maxValue(20)
param alwaysReadyDeliveries int = 0

@description('Mail addresses that are told when the bridge is down or unwell.')
param watchEmails string[] = []

@description('Mobile phones that are told, for example {countryCode: \'49\', phoneNumber: \'15550100\'}: digits only.')
param watchSms SmsReceiver[] = []

@description('Webhooks that are told: an https address by its name. Never an address of the bridge.')
@secure()
param watchWebhooks object = {}

@description('Regions that call /api/health, as population tags. Empty: five of the global cloud, or those of a sovereign one.')
param watchLocations string[] = []

@description('Whether tickets and the bridge\'s log can be exported to Log Analytics: tables, rule, functions, workbook, alert rules.')
param exportTickets bool = false

@description('Resource id of the workspace that gets the tables, in any group or subscription. Empty: that of the bridge.')
param exportWorkspaceId string = ''

@description('Days that exported rows are kept. The first 31 cost nothing.')
@minValue(4)
@maxValue(730)
param exportRetentionDays int = 90

@description('Minutes after which an export that is late raises an alert.')
@minValue(15)
@maxValue(1440)
param exportLagMinutes int = 60

// Built-in roles. Source: "Azure built-in roles", the same in every tenant.
var storageBlobDataOwner = 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
var storageBlobDataContributor = 'ba92f5b4-2d11-453d-a403-e96b0029c9fe'
var storageQueueDataContributor = '974c5e8b-45b9-4653-ba55-5f855dd0fb88'
var storageQueueDataMessageSender = 'c6a89b2d-59bc-44d0-9896-0f6e12d7b80a'
var storageTableDataContributor = '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'
var keyVaultSecretsUser = '4633458b-17de-408a-b874-0445c86b69e6'
var keyVaultSecretsOfficer = 'b86a8fe4-44ce-4948-aee5-eccb2c155cd7'
var monitoringMetricsPublisher = '3913510d-42f4-4e42-8a64-420c390055eb'

var packageContainer = 'app-package'
var webhookPath = '/api/alerts'
var healthPath = '/api/health'
var watchedText = 'Receivers are told when the bridge is down or unwell.'
var unwatchedText = 'NOBODY is told when the bridge is down, and nothing calls it while no alert comes: set watchEmails, watchSms or watchWebhooks.'
// Of /subscriptions/A/resourceGroups/B/providers/Microsoft.OperationalInsights/workspaces/C
var exportWorkspace = empty(exportWorkspaceId) ? logs.id : exportWorkspaceId
var exportWorkspaceParts = length(split(exportWorkspace, '/')) == 9 ? split(exportWorkspace, '/') : fail('exportWorkspaceId: no resource id of a workspace')
var exportRule = 'dcr-bridge-${token}'
var watched = !empty(watchEmails) || !empty(watchSms) || !empty(watchWebhooks)

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: 'id-bridge-${token}'
  location: location
}

resource storage 'Microsoft.Storage/storageAccounts@2025-06-01' = {
  name: 'stbridge${token}'
  location: location
  kind: 'StorageV2'
  sku: {
    name: 'Standard_LRS'
  }
  properties: {
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    allowSharedKeyAccess: false
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    defaultToOAuthAuthentication: true
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2025-06-01' = {
  parent: storage
  name: 'default'
}

// Where Flex Consumption keeps the published package. Queue, tables and other containers the bridge makes itself.
resource packages 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-06-01' = {
  parent: blobs
  name: packageContainer
  properties: {
    publicAccess: 'None'
  }
}

resource vault 'Microsoft.KeyVault/vaults@2025-05-01' = {
  name: 'kv-bridge-${token}'
  location: location
  properties: {
    tenantId: subscription().tenantId
    sku: {
      family: 'A'
      name: 'standard'
    }
    enableRbacAuthorization: true
    enableSoftDelete: true
    softDeleteRetentionInDays: 90
    enablePurgeProtection: true
  }
}

module appAccess 'modules/access.bicep' = {
  name: 'bridge-access-app'
  params: {
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    storageAccountName: storage.name
    storageRoles: [
      storageBlobDataOwner
      storageQueueDataContributor
      storageTableDataContributor
    ]
    vaultName: vault.name
    vaultRoles: [
      keyVaultSecretsUser
    ]
    ruleName: exportTickets ? exportRule : ''
    ruleRoles: exportTickets ? [
      monitoringMetricsPublisher
    ] : []
  }
  dependsOn: [
    export
  ]
}

module consentAccess 'modules/consent.bicep' = [for consentName in consents: {
  name: 'bridge-access-${uniqueString(consentName)}'
  params: {
    principalId: identity.properties.principalId
    vaultName: vault.name
    consentName: consentName
    role: keyVaultSecretsOfficer
  }
}]

module operatorAccess 'modules/access.bicep' = if (!empty(operatorId)) {
  name: 'bridge-access-operator'
  params: {
    principalId: operatorId
    principalType: operatorType
    storageAccountName: storage.name
    storageRoles: [
      storageBlobDataContributor
      storageQueueDataMessageSender
      storageTableDataContributor
    ]
    vaultName: vault.name
    vaultRoles: [
      keyVaultSecretsOfficer
    ]
    ruleName: ''
    ruleRoles: []
  }
}

resource logs 'Microsoft.OperationalInsights/workspaces@2025-07-01' = {
  name: 'log-bridge-${token}'
  location: location
  properties: {
    sku: {
      name: 'PerGB2018'
    }
    retentionInDays: 30
  }
}

resource insights 'Microsoft.Insights/components@2020-02-02' = {
  name: 'appi-bridge-${token}'
  location: location
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: logs.id
  }
}

module exportTables 'modules/export_tables.bicep' = if (exportTickets) {
  name: 'bridge-export-tables'
  scope: resourceGroup(exportWorkspaceParts[2], exportWorkspaceParts[4])
  params: {
    workspaceName: exportWorkspaceParts[8]
    retentionDays: exportRetentionDays
  }
}

module export 'modules/export.bicep' = if (exportTickets) {
  name: 'bridge-export'
  params: {
    location: exportTables!.outputs.location
    token: token
    workspaceId: exportWorkspace
    ruleName: exportRule
  }
}

resource plan 'Microsoft.Web/serverfarms@2025-03-01' = {
  name: 'plan-bridge-${token}'
  location: location
  kind: 'functionapp'
  sku: {
    tier: 'FlexConsumption'
    name: 'FC1'
  }
  properties: {
    reserved: true
  }
}

resource app 'Microsoft.Web/sites@2025-03-01' = {
  name: 'func-bridge-${token}'
  location: location
  kind: 'functionapp,linux'
  // How azd finds where to deploy the service of that name in azure.yaml.
  tags: {
    'azd-service-name': 'bridge'
  }
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identity.id}': {}
    }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    functionAppConfig: {
      runtime: {
        name: 'python'
        version: pythonVersion
      }
      scaleAndConcurrency: {
        instanceMemoryMB: instanceMemory
        maximumInstanceCount: maximumInstances
        // Functions with an HTTP trigger scale together, each other function by itself.
        alwaysReady: concat(
          alwaysReadyInstances == 0 ? [] : [
            {
              name: 'http'
              instanceCount: alwaysReadyInstances
            }
          ],
          alwaysReadyDeliveries == 0 ? [] : [
            {
              name: 'function:deliver'
              instanceCount: alwaysReadyDeliveries
            }
          ]
        )
      }
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${storage.properties.primaryEndpoints.blob}${packageContainer}'
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identity.id
          }
        }
      }
    }
  }
  dependsOn: [
    appAccess
    packages
  ]
}

// All settings of the app: a deployment replaces what is there. The runtime is no setting on this plan.
resource appSettings 'Microsoft.Web/sites/config@2025-03-01' = {
  parent: app
  name: 'appsettings'
  properties: union(extraSettings, {
    // Addresses instead of the account's name, which Functions would complete with the suffix of the global cloud.
    AzureWebJobsStorage__blobServiceUri: storage.properties.primaryEndpoints.blob
    AzureWebJobsStorage__queueServiceUri: storage.properties.primaryEndpoints.queue
    AzureWebJobsStorage__tableServiceUri: storage.properties.primaryEndpoints.table
    AzureWebJobsStorage__credential: 'managedidentity'
    AzureWebJobsStorage__clientId: identity.properties.clientId
    // The identity that the SDKs use where no other is named: Key Vault.
    AZURE_CLIENT_ID: identity.properties.clientId
    KEY_VAULT_URL: vault.properties.vaultUri
    APPLICATIONINSIGHTS_CONNECTION_STRING: insights.properties.ConnectionString
    SERVICENOW_URL: serviceNowUrl
    SERVICENOW_USERNAME: serviceNowUsername
  }, exportTickets ? {
    LOGS_INGESTION_ENDPOINT: export!.outputs.endpoint
    LOGS_INGESTION_RULE: export!.outputs.immutableId
  } : {})
}

module watch 'modules/watch.bicep' = if (watched) {
  name: 'bridge-watch'
  params: {
    location: location
    token: token
    healthUrl: 'https://${app.properties.defaultHostName}${healthPath}'
    insightsId: insights.id
    workspaceId: logs.id
    emails: watchEmails
    sms: watchSms
    webhooks: watchWebhooks
    locations: watchLocations
  }
}

module exportAlerts 'modules/export_alerts.bicep' = if (exportTickets) {
  name: 'bridge-export-alerts'
  params: {
    location: exportTables!.outputs.location
    token: token
    workspaceId: exportWorkspace
    lagMinutes: exportLagMinutes
    actionGroupIds: watched ? [
      watch!.outputs.actionGroupId
    ] : []
  }
}

@description('For func azure functionapp publish.')
output functionAppName string = app.name

@description('Where alerts go. What calls it adds ?code= and a function key.')
output webhookUrl string = 'https://${app.properties.defaultHostName}${webhookPath}'

@description('Whether the app is up.')
output healthUrl string = 'https://${app.properties.defaultHostName}${healthPath}'

@description('Whether anybody is told when the bridge is down.')
output watch string = watched ? watchedText : unwatchedText

@description('Where the secrets go.')
output keyVaultName string = vault.name

@description('For bridge.py --account.')
output storageAccountName string = storage.name

@description('Object id of the identity of the app, for roles outside of this resource group.')
output identityPrincipalId string = identity.properties.principalId

@description('Resource id of the workbook; empty without export.')
output workbookId string = exportTickets ? export!.outputs.workbookId : ''
