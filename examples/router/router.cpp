// The Router example of LiteLLM's page on request prioritization, line by line:
//
//     router = Router(
//         model_list=[
//             {
//                 "model_name": "gpt-3.5-turbo",
//                 "litellm_params": {
//                     "model": "gpt-3.5-turbo",
//                     "mock_response": "Hello world this is Macintosh!",
//                     "rpm": 1,
//                 },
//             },
//         ],
//         timeout=2,
//         routing_strategy="usage-based-routing-v2",
//         polling_interval=0.03,
//     )
//     response = await router.acompletion(
//         model="gpt-3.5-turbo",
//         messages=[{"role": "user", "content": "Hey!"}],
//         priority=0,
//     )
//
// Here it is called four times at once: the most urgent call is answered, three time out.
#include "http/router.hpp"

#include <iostream>

int main() {
  auto [router, problems, warnings] = vorrang::router::make({
      .model_list =
          {
              {
                  .model_name = "gpt-3.5-turbo",
                  .litellm_params =
                      {
                          .model = "gpt-3.5-turbo",
                          .mock_response =
                              "Hello world this is Macintosh!", // fakes the LLM API call
                          .rpm = 1,
                      },
              },
          },
      .timeout = 2, // timeout request if takes > 2s
      .routing_strategy = "usage-based-routing-v2",
      .polling_interval = 0.03, // nothing is polled: grants come by event
  });
  for (const auto& problem : problems)
    std::cerr << problem << '\n';
  if (!router)
    return 1;

  // Four calls at once, the most urgent first.
  std::vector<std::future<vorrang::completion_result>> calls;
  for (int priority : {0, 1, 2, 3})
    calls.push_back(router->acompletion({
        // ADDS TO QUEUE + WAITS FOR ITS GRANT + MAKES CALL
        .model = "gpt-3.5-turbo",
        .messages = {{.role = "user", .content = "Hey!"}},
        .priority = priority, // LOWER IS BETTER
    }));

  for (std::size_t priority = 0; priority < calls.size(); ++priority) {
    const vorrang::completion_result response = calls[priority].get();
    std::cout << "priority " << priority << ": ";
    if (const auto* answer = std::get_if<vorrang::completion>(&response))
      std::cout << answer->text() << '\n';
    else if (const auto* error = std::get_if<vorrang::completion_error>(&response))
      std::cout << error->status << " " << error->message << '\n';
  }
}
