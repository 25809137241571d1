// An action group that calls the webhook of the bridge, in the resource group of main.bicep. A file of its own: the key
// that it needs exists once the app is published, and making it must not touch the app or its settings.
//
//   az deployment group create --resource-group RESOURCE-GROUP --template-file infra/action-group.bicep \
//     --parameters functionAppName=FUNCTION-APP-NAME webhookKey=KEY

targetScope = 'resourceGroup'

@description('Name of the function app: the output functionAppName of main.bicep.')
param functionAppName string

@description('Function key of the webhook, there once the app is published.')
@secure()
param webhookKey string

@description('End of the name of the action group, as in main.bicep.')
@minLength(3)
@maxLength(13)
param token string = uniqueString(resourceGroup().id)

var webhookPath = '/api/alerts'

resource app 'Microsoft.Web/sites@2025-03-01' existing = {
  name: functionAppName
}

resource actionGroup 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: 'ag-bridge-${token}'
  location: 'global'
  properties: {
    enabled: true
    groupShortName: 'itsm-bridge'
    webhookReceivers: [
      {
        name: 'bridge'
        serviceUri: 'https://${app.properties.defaultHostName}${webhookPath}?code=${uriComponent(webhookKey)}'
        useCommonAlertSchema: true
      }
    ]
  }
}
