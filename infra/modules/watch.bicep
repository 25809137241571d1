// Who watches the bridge: calls /api/health from outside, reads the app's log lines, and tells people by ways that do not
// pass through the bridge.
//
// Sources: Microsoft Learn, "Application Insights availability tests" (retries, locations, their tags), "Create a metric
// alert with a Resource Manager template" (the criteria of an availability test), "Create or edit a log search alert
// rule" (dimensions, unsupported functions) and "AppTraces" (columns), all in the state of 2025 to 2026.

targetScope = 'resourceGroup'

@export()
type SmsReceiver = {
  countryCode: string
  phoneNumber: string
}

@description('Region of the test and of the rules: that of Application Insights.')
param location string

@description('End of every name, as in main.bicep.')
param token string

@description('Address of GET /api/health.')
param healthUrl string

@description('Resource id of the Application Insights component.')
param insightsId string

@description('Resource id of its Log Analytics workspace.')
param workspaceId string

@description('Mail addresses that are told.')
param emails string[]

@description('Mobile phones that are told: country code and number, digits only.')
param sms SmsReceiver[]

@description('Webhooks that are told: an https address by its name. Secure, because such addresses often hold a key.')
@secure()
param webhooks object

@description('Population tags of the regions that call. Empty: those that fit the cloud.')
param locations string[]

// Each region calls once in so many seconds: five of them make one call a minute.
var secondsBetweenCalls = 300

// Of the choices that a test has (30, 60, 90, 120) the first above what the app may take: 20 s for work that is overdue,
// and before that the start of an instance.
var secondsOfPatience = 60

// So that trouble of one region's network tells nobody.
var regionsThatFail = 2

// Source: "Location population tags". The tags are historical: us-fl-mia-edge is in Central US, emea-ch-zrh-edge in France.
var locationsOfCloud = {
  AzureCloud: [
    'emea-nl-ams-azr'
    'emea-gb-db3-azr'
    'us-va-ash-azr'
    'us-ca-sjc-azr'
    'apac-sg-sin-azr'
  ]
  AzureUSGovernment: [
    'usgov-va-azr'
    'usgov-phx-azr'
    'usgov-tx-azr'
  ]
  AzureChinaCloud: [
    'mc-cne-azr'
    'mc-cne2-azr'
    'mc-cnn-azr'
    'mc-cnn2-azr'
  ]
}
var callers = empty(locations) ? locationsOfCloud[environment().name] : locations

// The queries see the time of a rule's window alone. A workspace has the table once a first line has arrived; until then
// the empty table in its place answers, so that a bridge which never logged anything is missed too.
var missingVitalSigns = '''
union isfuzzy=true (datatable(TimeGenerated: datetime, Message: string) []), AppTraces
| where Message startswith '{"event": "vital_signs"'
| summarize looks = count()
| where looks == 0
'''
var overdueFunctions = '''
union isfuzzy=true (datatable(TimeGenerated: datetime, Message: string) []), AppTraces
| where Message startswith '{"event": "function_overdue"'
| extend line = parse_json(Message)
| summarize lines = count(), since = min(todatetime(line.since)) by function_name = tostring(line['function'])
'''

resource receivers 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: 'ag-watch-${token}'
  location: 'global'
  properties: {
    enabled: true
    groupShortName: 'bridge-watch'
    emailReceivers: [for (address, index) in emails: {
      name: 'mail-${index + 1}'
      emailAddress: address
      useCommonAlertSchema: true
    }]
    smsReceivers: [for (phone, index) in sms: {
      name: 'sms-${index + 1}'
      countryCode: phone.countryCode
      phoneNumber: phone.phoneNumber
    }]
    webhookReceivers: [for hook in items(webhooks): {
      name: 'webhook-${hook.key}'
      serviceUri: startsWith(toLower(hook.value), 'https://') ? hook.value : fail('watchWebhooks.${hook.key}: no https address')
      useCommonAlertSchema: true
    }]
  }
}

resource health 'Microsoft.Insights/webtests@2022-06-15' = {
  name: 'webtest-bridge-${token}'
  location: location
  kind: 'standard'
  tags: {
    'hidden-link:${insightsId}': 'Resource'
  }
  properties: {
    SyntheticMonitorId: 'webtest-bridge-${token}'
    Name: 'The bridge is well'
    Kind: 'standard'
    Enabled: true
    Frequency: secondsBetweenCalls
    Timeout: secondsOfPatience
    // A region reports a failure after three attempts only.
    RetryEnabled: true
    Locations: [for caller in callers: {
      Id: caller
    }]
    Request: {
      RequestUrl: healthUrl
      HttpVerb: 'GET'
      FollowRedirects: false
      ParseDependentRequests: false
    }
    ValidationRules: {
      ExpectedHttpStatusCode: 200
      IgnoreHttpStatusCode: false
      SSLCheck: true
      // As the app writes it: "degraded" comes with 200 too.
      ContentValidation: {
        ContentMatch: '"status": "ok"'
        IgnoreCase: false
        PassIfTextFound: true
      }
    }
  }
}

resource unwell 'Microsoft.Insights/metricAlerts@2026-01-01' = {
  name: 'alert-bridge-unwell-${token}'
  location: 'global'
  tags: {
    'hidden-link:${insightsId}': 'Resource'
    'hidden-link:${health.id}': 'Resource'
  }
  properties: {
    description: 'The bridge cannot be reached, or does not answer that it is well: docs/operations.md, Who watches the bridge.'
    severity: 1
    enabled: true
    scopes: [
      health.id
      insightsId
    ]
    evaluationFrequency: 'PT1M'
    windowSize: 'PT5M'
    autoMitigate: true
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.WebtestLocationAvailabilityCriteria'
      webTestId: health.id
      componentId: insightsId
      failedLocationCount: min(regionsThatFail, length(callers))
    }
    actions: [
      {
        actionGroupId: receivers.id
      }
    ]
  }
}

resource silent 'Microsoft.Insights/scheduledQueryRules@2026-03-01' = {
  name: 'alert-bridge-silent-${token}'
  location: location
  kind: 'LogAlert'
  properties: {
    displayName: 'The bridge gives no sign of life'
    description: 'No process of the bridge has looked after its functions for 15 minutes: docs/operations.md, Who watches the bridge.'
    severity: 1
    enabled: true
    scopes: [
      workspaceId
    ]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT15M'
    autoMitigate: true
    // A new workspace cannot resolve the table yet.
    skipQueryValidation: true
    criteria: {
      allOf: [
        {
          query: missingVitalSigns
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
      actionGroups: [
        receivers.id
      ]
    }
  }
}

resource overdue 'Microsoft.Insights/scheduledQueryRules@2026-03-01' = {
  name: 'alert-bridge-overdue-${token}'
  location: location
  kind: 'LogAlert'
  properties: {
    displayName: 'A function of the bridge is overdue'
    description: 'The dimension function_name says which: docs/operations.md, Who watches the bridge.'
    severity: 2
    enabled: true
    scopes: [
      workspaceId
    ]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT15M'
    autoMitigate: true
    skipQueryValidation: true
    criteria: {
      allOf: [
        {
          query: overdueFunctions
          timeAggregation: 'Count'
          operator: 'GreaterThan'
          threshold: 0
          // One alert for each function.
          dimensions: [
            {
              name: 'function_name'
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
      actionGroups: [
        receivers.id
      ]
    }
  }
}

@description('Resource id of the action group that is told.')
output actionGroupId string = receivers.id
