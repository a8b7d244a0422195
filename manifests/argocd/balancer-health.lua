-- How Argo CD tells the health of a Balancer: whether Evenload works, not whether traffic is even. An imbalance that
-- made an application unhealthy would block the very sync that mends it.
hs = { status = "Progressing", message = "Evenload has not looked at it yet" }

if obj.spec ~= nil and obj.spec.suspend then
  hs.status = "Suspended"
  hs.message = "spec.suspend is true"
  return hs
end
if obj.status == nil or obj.status.conditions == nil then
  return hs
end
if obj.status.observedGeneration ~= nil and obj.status.observedGeneration < obj.metadata.generation then
  hs.message = "Evenload has not looked at this version yet"
  return hs
end

local health = { True = "Healthy", False = "Degraded" }
for _, condition in ipairs(obj.status.conditions) do
  if condition.type == "Paused" and condition.status == "True" then
    hs.status = "Suspended"
    hs.message = condition.message
    return hs
  end
  if condition.type == "Ready" then
    hs.status = health[condition.status] or "Progressing"
    hs.message = condition.message
  end
end
return hs
