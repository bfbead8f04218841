#include "api/model_list.h"

#include "api/json_reading.h"
#include "api/json_tree.h"

namespace spillway::api {

std::vector<std::string> listed_models(std::string_view body) {
  JsonTree tree;
  std::vector<std::string> names;
  if (!tree.parse(without_white_space_behind(body))) return names;
  for (const JsonTree::Value model : tree.root()["data"]) names.push_back(model["id"].text());
  for (const JsonTree::Value model : tree.root()["models"]) names.push_back(model["name"].text());
  std::erase(names, std::string());
  return names;
}

}  // namespace spillway::api
